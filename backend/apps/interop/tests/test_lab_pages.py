"""Proves that the lab inbox in the console shows what waits, changes it by forms, and writes each look down."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import STAFF
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.interop.console_urls import urlpatterns
from backend.apps.laboratory.models import InboundMessage, LabFeed, LabReplay, LabResult, ReplayedMessage
from backend.apps.laboratory.tests.factories import (
    make_inbound_message,
    make_lab_feed,
    make_lab_order,
    make_lab_replay,
    make_lab_result,
    make_lab_test,
)
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
LISTING = "/console/labs/"
ORU = (
    "MSH|^~\\&|LIS|LAB|CR|CLINIC|20260302130000||ORU^R01|ZQ1|P|2.5.1\r"
    "PID|1||{number}^^^CLINIC^MR||{family}^{given}||{born}|F|||Zqstreet 1^^Zqtown\r"
    "OBR|1||F1|24323-8^Panel^LN|||202603021200|||||||||||||||202603021300|||F\r"
    "OBX|1|NM|HOUSE1^Zqpotassium^L||77.7|mmol/L|3.5-5.1|N|||F\r"
)


def waiting(patient: Patient | None = None, **over: Any) -> InboundMessage:
    patient = patient or make_patient()
    raw = ORU.format(
        number="NOBODY1", family=patient.last_name, given=patient.first_name, born=f"{patient.date_of_birth:%Y%m%d}"
    )
    fields = {"status": "worklist", "work_state": "done", "status_reason": "No patient has this record number."}
    return make_inbound_message(raw.encode(), **{**fields, "control_id": "ZQ1", **over})


def of_another_lab(**over: Any) -> InboundMessage:
    return make_inbound_message(feed=make_lab_feed(sending_facility=f"LAB{LabFeed.objects.count()}"), **over)


def page_of(message: InboundMessage) -> str:
    return f"{LISTING}{message.pk}/"


def post(client: Client, message: InboundMessage, verb: str, **form: str) -> str:
    """Send a form of the message's page; return the page it leads to."""
    answer = client.post(f"{page_of(message)}{verb}/", form, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_tells_each_message_as_a_sentence_and_is_written_down() -> None:
    message, client = waiting(), signed_in()
    answer = client.get(LISTING)
    told = " ".join(answer.content.decode().split())
    assert "waits for a person: No patient has this record number." in told
    assert "The oldest message that waits for a person came" in told
    assert "<b>1</b> on the worklist" in told
    noted = AuditLog.objects.get(action="console.list")
    assert noted.detail["ids"] == [str(message.pk)]


def test_the_list_costs_the_same_for_many_messages_and_cuts_them_into_pages() -> None:
    client = signed_in()
    rows = [of_another_lab() for _ in range(5)]
    client.get(LISTING)
    with CaptureQueriesContext(connection) as few:
        client.get(LISTING)
    rows += [of_another_lab() for _ in range(60)]
    with CaptureQueriesContext(connection) as many:
        first = client.get(LISTING)
    assert len(many) == len(few)
    page = first.context["page"]
    assert (len(page.rows), page.newer) == (50, "")
    second = client.get(f"{LISTING}?{page.older}").context["page"]
    assert (len(second.rows), second.older) == (15, "")
    assert {row.pk for row in (*page.rows, *second.rows)} == {row.pk for row in rows}
    back = client.get(f"{LISTING}?{second.newer}").context["page"]
    assert [row.pk for row in back.rows] == [row.pk for row in page.rows]
    assert client.get(f"{LISTING}?older=x").status_code == 404


@pytest.mark.parametrize("query", ["status=eaten", "received_at__gte=soon", "feed=x", "patient=me"])
def test_a_filter_that_is_none_is_told_and_finds_nothing(query: str) -> None:
    waiting()
    answer = signed_in().get(f"{LISTING}?{query}")
    assert answer.status_code == 200
    assert b'role="alert"' in answer.content
    assert answer.context["page"].rows == []


def test_a_patients_messages_are_found_by_a_record_number_that_stands_in_no_address() -> None:
    patient, client = make_patient(), signed_in()
    mine = waiting(assigned_patient=patient)
    make_inbound_message()
    answer = client.post(f"{LISTING}patient/", {"number": patient.medical_record_number.lower()})
    assert answer["Location"] == f"{LISTING}?patient={patient.pk}"
    assert [row.pk for row in client.get(answer["Location"]).context["page"].rows] == [mine.pk]
    assert AuditLog.objects.filter(action="console.list", patient_id=patient.pk).exists()
    assert client.post(f"{LISTING}patient/", {"number": "NOBODY"})["Location"] == LISTING


def test_a_message_is_shown_masked_beside_its_tree() -> None:
    message, client = waiting(), signed_in()
    told = client.get(page_of(message)).content.decode()
    body = told[told.index('id="raw"') :]
    for value in ("Zqstreet", "77.7", "NOBODY1"):
        assert value not in body
    assert "HOUSE1" in told
    assert "OBX-5" in told
    assert AuditLog.objects.filter(action="console.retrieve", resource_id=str(message.pk)).exists()


def test_a_look_at_a_message_is_found_by_the_patient_it_is_assigned_to() -> None:
    patient, client = make_patient(), signed_in()
    message = waiting(assigned_patient=patient)
    assert patient.full_name in client.get(page_of(message)).content.decode()
    noted = AuditLog.objects.get(action="console.retrieve")
    assert (noted.resource_id, noted.patient_id) == (str(message.pk), patient.pk)


def test_other_messages_under_a_control_id_cost_the_same_however_many_there_are() -> None:
    message, client = waiting(conflict=True), signed_in()
    costs = []
    for more in (2, 8):
        for _ in range(more):
            of_another_lab(control_id=message.control_id, conflict=True)
        with CaptureQueriesContext(connection) as asked:
            shown = client.get(page_of(message)).context["twins"]
        costs.append((len(asked), len({row.feed.name for row in shown})))
    assert costs[0][0] == costs[1][0]
    assert [feeds for _, feeds in costs] == [2, 10]


def test_revealing_needs_a_reason_and_is_written_down_with_it() -> None:
    message, client = waiting(), signed_in()
    assert "Zqstreet" not in post(client, message, "reveal", reason=" ")
    assert not AuditLog.objects.filter(action="console.reveal").exists()
    assert "Zqstreet 1^^Zqtown" in post(client, message, "reveal", reason="The lab asks about it")
    noted = AuditLog.objects.get(action="console.reveal")
    assert (noted.resource_id, noted.detail) == (str(message.pk), {"reason": "The lab asks about it"})
    assert "Zqstreet" not in client.get(page_of(message)).content.decode()


def test_a_suggested_patient_is_assigned_and_taken_back() -> None:
    patient, client = make_patient(), signed_in()
    message = waiting(patient)
    told = client.get(page_of(message)).content.decode()
    assert str(patient.pk) in told
    assert patient.full_name in told
    assert AuditLog.objects.get(action="console.suggest").detail["ids"] == [str(patient.pk)]
    assert "Assigned. The message is back in line" in post(client, message, "assign", patient=str(patient.pk))
    message.refresh_from_db()
    assert (message.assigned_patient_id, message.status) == (patient.pk, "received")
    assert "The assignment is taken back." in post(client, message, "unassign")
    assert "only one on the worklist is assigned" in post(client, message, "assign", patient=str(patient.pk))


def test_a_patient_is_found_by_words_that_stand_in_no_address() -> None:
    patient, message, client = make_patient(last_name="Zimmermann"), waiting(), signed_in()
    told = post(client, message, "find", text="Zimmer")
    assert f'value="{patient.pk}"' in told
    assert "Nobody fits." in post(client, message, "find", text="Qwertz")
    assert AuditLog.objects.filter(action="console.search", detail__count=1).exists()


def test_a_message_is_skipped_with_a_reason_and_put_back() -> None:
    message, client = waiting(), signed_in()
    assert "Say why" in post(client, message, "skip", reason="")
    assert "Skipped." in post(client, message, "skip", reason="a test of the line")
    assert "was not taken: Skipped: a test of the line" in " ".join(
        client.get(page_of(message)).content.decode().split()
    )
    assert "back in line" in post(client, message, "retry")
    message.refresh_from_db()
    assert message.status == "received"


def test_a_code_is_mapped_from_the_message_that_brought_it() -> None:
    test, message, client = make_lab_test(test_name="Potassium in blood"), waiting(), signed_in()
    assert "HOUSE1 (L)" in client.get(page_of(message)).content.decode()
    assert "Choose the test" in post(client, message, "map-code", code="HOUSE1", system="L")
    assert "Mapped" in post(client, message, "map-code", code="HOUSE1", system="L", lab_test=str(test.pk))
    assert "HOUSE1 (L)" not in client.get(page_of(message)).content.decode()


def test_ticked_messages_are_tried_and_the_trial_is_applied_or_stopped() -> None:
    messages, client = [waiting(control_id=f"ZQ{n}") for n in range(3)], signed_in()
    answer = client.post(f"{LISTING}replay/", {"message": [str(row.pk) for row in messages[:2]]}, follow=True)
    told = answer.content.decode()
    assert "0 of 2 messages done" in told
    dry = LabReplay.objects.get()
    assert dry.dry_run
    assert "Stopped." in client.post(f"/console/replays/{dry.pk}/cancel/", follow=True).content.decode()
    client.post(f"{LISTING}replay/", {"all": "1", "filter": "status=worklist"})
    everything = LabReplay.objects.order_by("-created_at").first()
    assert everything is not None
    assert everything.total == 3
    assert (
        "only a finished one" in client.post(f"/console/replays/{everything.pk}/apply/", follow=True).content.decode()
    )
    LabReplay.objects.update(status="finished")
    assert (
        "files the messages now"
        in client.post(f"/console/replays/{everything.pk}/apply/", follow=True).content.decode()
    )
    assert LabReplay.objects.filter(of_dry_run=everything, dry_run=False).count() == 1
    assert client.get("/console/replays/").status_code == 200


def test_a_pending_replay_shows_counts_only_and_a_look_at_the_end_is_one_statement() -> None:
    patients, client = [make_patient() for _ in range(6)], signed_in()
    replay = make_lab_replay(waiting())
    entries = [
        {"kind": "order", "change": "appears", "patient": str(each.pk), "order": "Zqorder", "after": {}}
        for each in patients
    ]
    ReplayedMessage.objects.update(difference=entries)
    LabReplay.objects.update(appears=6)
    url = f"/console/replays/{replay.pk}/"
    running = client.get(url).content.decode()
    assert "6 appear, 0 change, 0 disappear so far." in running
    assert "Zqorder" not in running
    assert not AuditLog.objects.filter(action="replay.difference").exists()
    LabReplay.objects.update(status="finished")
    with CaptureQueriesContext(connection) as asked:
        ended = client.get(url).content.decode()
    assert ended.count("Zqorder") == 6
    seen = AuditLog.objects.filter(action="replay.difference", resource_id=str(replay.pk))
    assert set(seen.values_list("patient_id", flat=True)) == {each.pk for each in patients}
    assert sum(bool(re.search(r'INTO "?core_auditlog', query["sql"])) for query in asked) == 2  # the look, and at whom


def test_nothing_ticked_is_told() -> None:
    assert "There are no messages to replay." in signed_in().post(f"{LISTING}replay/", follow=True).content.decode()


def test_the_history_of_an_observation_is_shown() -> None:
    message = make_inbound_message(status="filed", work_state="done")
    result, client = make_lab_result(source_message=message, result_value="4.19"), signed_in()
    assert reverse("console:lab-history", args=[result.pk]) in client.get(page_of(message)).content.decode()
    told = client.get(f"{LISTING}results/{result.pk}/").content.decode()
    assert "4.19" in told
    assert "Version 1" in told


def test_the_history_is_for_those_who_may_see_the_result() -> None:
    ordering = make_doctor()
    result = make_lab_result(lab_order=make_lab_order(doctor=ordering, status="in_progress"), result_value="4.19")
    url = f"{LISTING}results/{result.pk}/"
    assert b"4.19" in signed_in(ordering.user).get(url).content
    for who, status in ((make_doctor().user, 404), ("receptionist", 403), ("pharmacist", 403)):
        answer = signed_in(who).get(url)
        assert answer.status_code == status
        assert b"4.19" not in answer.content
    assert AuditLog.objects.filter(action="console.view", outcome="refused").count() == 3


@pytest.mark.parametrize("role", sorted(STAFF - {"admin", "lab_tech"}))
def test_the_inbox_and_its_verbs_are_for_the_laboratory(role: str) -> None:
    message, client = waiting(), signed_in(role)
    replay = make_lab_replay(message)
    for url in (LISTING, page_of(message), "/console/replays/", f"/console/replays/{replay.pk}/"):
        assert client.get(url).status_code == 403, url
    stored = InboundMessage.objects.values_list().get()
    for verb in ("find", "assign", "unassign", "skip", "retry", "reveal", "map-code"):
        assert client.post(f"{page_of(message)}{verb}/", {"reason": "x", "text": "x"}).status_code == 403, verb
    changes = [f"/console/replays/{replay.pk}/{verb}/" for verb in ("apply", "cancel")]
    for url in (f"{LISTING}replay/", f"{LISTING}patient/", *changes):
        assert client.post(url).status_code == 403, url
    assert InboundMessage.objects.values_list().get() == stored
    assert LabReplay.objects.get().status == "pending"
    assert AuditLog.objects.filter(outcome="refused", action="console.view").count() == 15


def test_every_page_is_sealed_and_takes_no_form_without_its_token() -> None:
    message = waiting()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_user("admin"))
    words = {"pk": message.pk, "verb": "build", "name": "silent", "task": "lab_results.file", "override": message.pk}
    for entry in urlpatterns:
        kwargs = {name: words[name] for name in entry.pattern.converters}
        url = reverse(f"console:{entry.name}", kwargs=kwargs)
        answer = strict.get(url)
        assert "default-src 'none'" in answer["Content-Security-Policy"], url
        assert "no-store" in answer["Cache-Control"], url
        if answer.status_code == 405:
            assert strict.post(url).status_code == 403, url
    assert not LabReplay.objects.exists()
    assert not LabResult.objects.exists()
