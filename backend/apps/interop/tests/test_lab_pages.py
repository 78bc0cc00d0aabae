"""Proves that the lab inbox in the console shows what waits, changes it by forms, and writes each look down."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import STAFF
from backend.apps.interop.console_urls import urlpatterns
from backend.apps.laboratory.models import InboundMessage, LabReplay, LabResult
from backend.apps.laboratory.tests.factories import (
    make_inbound_message,
    make_lab_replay,
    make_lab_result,
    make_lab_test,
)
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
LISTING = "/console/labs/"
ORU = (
    "MSH|^~\\&|LIS|LAB|CR|CLINIC|20260302130000||ORU^R01|ZQ1|P|2.5.1\r"
    "PID|1||{number}^^^CLINIC^MR||{family}^{given}||{born}|F|||Zqstreet 1^^Zqtown\r"
    "OBR|1||F1|24323-8^Panel^LN|||202603021200|||||||||||||||202603021300|||F\r"
    "OBX|1|NM|HOUSE1^Zqpotassium^L||77.7|mmol/L|3.5-5.1|N|||F\r"
)


def client_of(role: str = "lab_tech") -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def waiting(patient: Patient | None = None, **over: Any) -> InboundMessage:
    patient = patient or make_patient()
    raw = ORU.format(
        number="NOBODY1", family=patient.last_name, given=patient.first_name, born=f"{patient.date_of_birth:%Y%m%d}"
    )
    fields = {"status": "worklist", "work_state": "done", "status_reason": "No patient has this record number."}
    return make_inbound_message(raw.encode(), **{**fields, "control_id": "ZQ1", **over})


def page_of(message: InboundMessage) -> str:
    return f"{LISTING}{message.pk}/"


def post(client: Client, message: InboundMessage, verb: str, **form: str) -> str:
    """Send a form of the message's page; return the page it leads to."""
    answer = client.post(f"{page_of(message)}{verb}/", form, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_tells_each_message_as_a_sentence_and_is_written_down() -> None:
    message, client = waiting(), client_of()
    answer = client.get(LISTING)
    told = " ".join(answer.content.decode().split())
    assert "waits for a person: No patient has this record number." in told
    assert "The oldest message that waits for a person came" in told
    assert "<b>1</b> on the worklist" in told
    noted = AuditLog.objects.get(action="console.list")
    assert noted.detail["ids"] == [str(message.pk)]


def test_the_list_costs_the_same_for_many_messages_and_cuts_them_into_pages() -> None:
    client = client_of()
    rows = [make_inbound_message() for _ in range(5)]
    client.get(LISTING)
    with CaptureQueriesContext(connection) as few:
        client.get(LISTING)
    rows += [make_inbound_message() for _ in range(60)]
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
    answer = client_of().get(f"{LISTING}?{query}")
    assert answer.status_code == 200
    assert b'role="alert"' in answer.content
    assert answer.context["page"].rows == []


def test_a_patients_messages_are_found_by_a_record_number_that_stands_in_no_address() -> None:
    patient, client = make_patient(), client_of()
    mine = waiting(assigned_patient=patient)
    make_inbound_message()
    answer = client.post(f"{LISTING}patient/", {"number": patient.medical_record_number.lower()})
    assert answer["Location"] == f"{LISTING}?patient={patient.pk}"
    assert [row.pk for row in client.get(answer["Location"]).context["page"].rows] == [mine.pk]
    assert AuditLog.objects.filter(action="console.list", patient_id=patient.pk).exists()
    assert client.post(f"{LISTING}patient/", {"number": "NOBODY"})["Location"] == LISTING


def test_a_message_is_shown_masked_beside_its_tree() -> None:
    message, client = waiting(), client_of()
    told = client.get(page_of(message)).content.decode()
    body = told[told.index('id="raw"') :]
    for value in ("Zqstreet", "77.7", "NOBODY1"):
        assert value not in body
    assert "HOUSE1" in told
    assert "OBX-5" in told
    assert AuditLog.objects.filter(action="console.retrieve", resource_id=str(message.pk)).exists()


def test_revealing_needs_a_reason_and_is_written_down_with_it() -> None:
    message, client = waiting(), client_of()
    assert "Zqstreet" not in post(client, message, "reveal", reason=" ")
    assert not AuditLog.objects.filter(action="console.reveal").exists()
    assert "Zqstreet 1^^Zqtown" in post(client, message, "reveal", reason="The lab asks about it")
    noted = AuditLog.objects.get(action="console.reveal")
    assert (noted.resource_id, noted.detail) == (str(message.pk), {"reason": "The lab asks about it"})
    assert "Zqstreet" not in client.get(page_of(message)).content.decode()


def test_a_suggested_patient_is_assigned_and_taken_back() -> None:
    patient, client = make_patient(), client_of()
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
    patient, message, client = make_patient(last_name="Zimmermann"), waiting(), client_of()
    told = post(client, message, "find", text="Zimmer")
    assert f'value="{patient.pk}"' in told
    assert "Nobody fits." in post(client, message, "find", text="Qwertz")
    assert AuditLog.objects.filter(action="console.search", detail__count=1).exists()


def test_a_message_is_skipped_with_a_reason_and_put_back() -> None:
    message, client = waiting(), client_of()
    assert "Say why" in post(client, message, "skip", reason="")
    assert "Skipped." in post(client, message, "skip", reason="a test of the line")
    assert "was not taken: Skipped: a test of the line" in " ".join(
        client.get(page_of(message)).content.decode().split()
    )
    assert "back in line" in post(client, message, "retry")
    message.refresh_from_db()
    assert message.status == "received"


def test_a_code_is_mapped_from_the_message_that_brought_it() -> None:
    test, message, client = make_lab_test(test_name="Potassium in blood"), waiting(), client_of()
    assert "HOUSE1 (L)" in client.get(page_of(message)).content.decode()
    assert "Choose the test" in post(client, message, "map-code", code="HOUSE1", system="L")
    assert "Mapped" in post(client, message, "map-code", code="HOUSE1", system="L", lab_test=str(test.pk))
    assert "HOUSE1 (L)" not in client.get(page_of(message)).content.decode()


def test_ticked_messages_are_tried_and_the_trial_is_applied_or_stopped() -> None:
    messages, client = [waiting(control_id=f"ZQ{n}") for n in range(3)], client_of()
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


def test_nothing_ticked_is_told() -> None:
    assert "There are no messages to replay." in client_of().post(f"{LISTING}replay/", follow=True).content.decode()


def test_the_history_of_an_observation_is_shown() -> None:
    message = make_inbound_message(status="filed", work_state="done")
    result, client = make_lab_result(source_message=message, result_value="4.19"), client_of()
    assert reverse("console:lab-history", args=[result.pk]) in client.get(page_of(message)).content.decode()
    told = client.get(f"{LISTING}results/{result.pk}/").content.decode()
    assert "4.19" in told
    assert "Version 1" in told


@pytest.mark.parametrize("role", sorted(STAFF - {"admin", "lab_tech"}))
def test_the_inbox_and_its_verbs_are_for_the_laboratory(role: str) -> None:
    message, client = waiting(), client_of(role)
    replay = make_lab_replay(message)
    for url in (LISTING, page_of(message), "/console/replays/", f"/console/replays/{replay.pk}/"):
        assert client.get(url).status_code == 403, url
    stored = InboundMessage.objects.values_list().get()
    for verb in ("find", "assign", "unassign", "skip", "retry", "reveal", "map-code"):
        assert client.post(f"{page_of(message)}{verb}/", {"reason": "x", "text": "x"}).status_code == 403, verb
    for url in (f"{LISTING}replay/", f"{LISTING}patient/", f"/console/replays/{replay.pk}/apply/"):
        assert client.post(url).status_code == 403, url
    assert InboundMessage.objects.values_list().get() == stored
    assert AuditLog.objects.filter(outcome="refused", action="console.view").count() == 14


def test_every_page_is_sealed_and_takes_no_form_without_its_token() -> None:
    message = waiting()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_user("admin"))
    for entry in urlpatterns:
        args = [message.pk] if "<uuid:pk>" in str(entry.pattern) else []
        url = reverse(f"console:{entry.name}", args=args)
        answer = strict.get(url)
        assert "default-src 'none'" in answer["Content-Security-Policy"], url
        assert "no-store" in answer["Cache-Control"], url
        if answer.status_code == 405:
            assert strict.post(url).status_code == 403, url
    assert not LabReplay.objects.exists()
    assert not LabResult.objects.exists()
