"""Proves that the API explains messages masked, and shows one as it came only for a reason that is written down."""

from __future__ import annotations

import base64

import pytest

from backend.apps.core.models import AuditLog
from backend.apps.interop import senders
from backend.apps.laboratory.models import LabReplay, ReplayedMessage
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed, make_lab_replay
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
RAW = (
    b"MSH|^~\\&|LIS|LAB|||20260302||ORU^R01|Q1|P|2.5.1\r"
    b"PID|1||MRN77||Zqlast^Zqfirst\rOBX|1|NM|2823-3^K^LN||66.9|||HH|||F\r"
)
FINDING = {"segment": "OBX", "number": 1, "field": 3, "message": "a code that means no test here"}
ELSEWHERE = {"segment": "OBX", "number": 9, "field": 5, "message": "not a number: 3 characters"}


def test_an_explanation_is_masked_with_each_finding_at_its_field_once() -> None:
    message = make_inbound_message(RAW, findings=[FINDING, FINDING, ELSEWHERE])
    answer = client_for(make_user("lab_tech")).get(f"/api/v1/inbound-messages/{message.pk}/explanation/")
    assert answer.status_code == 200
    for value in (b"Zqlast", b"MRN77", b"66.9"):
        assert value not in answer.content
    lines = {line["path"]: line for part in answer.data["segments"] for line in part["lines"]}
    assert lines["OBX-3.1"]["text"] == "2823-3"
    assert lines["OBX-3"]["findings"] == [FINDING["message"]]
    assert "OBX 9, field 5: not a number: 3 characters" in answer.data["findings"]


@pytest.mark.parametrize("raw", [b"", b"\x00\xff nothing", b"MSH", b"MSH|^~\\&|\r\r\rOBX|" + b"|" * 5000])
def test_whatever_came_is_explained_and_revealed(raw: bytes) -> None:
    message = make_inbound_message(raw)
    api, url = client_for(make_user("admin")), f"/api/v1/inbound-messages/{message.pk}/"
    assert api.get(f"{url}explanation/").status_code == 200
    shown = api.post(f"{url}reveal/", {"reason": "a test"}, format="json")
    assert base64.b64decode(shown.data["raw"]) == raw


def test_revealing_needs_a_reason_and_is_written_down_with_it() -> None:
    message = make_inbound_message(RAW, patient=make_patient())
    api, url = client_for(make_user("lab_tech")), f"/api/v1/inbound-messages/{message.pk}/reveal/"
    for form in ({}, {"reason": ""}, {"reason": "x" * 201}):
        assert api.post(url, form, format="json").status_code == 400
    shown = api.post(url, {"reason": "The laboratory asks"}, format="json")
    assert (base64.b64decode(shown.data["raw"]), "Zqlast^Zqfirst" in shown.data["text"]) == (RAW, True)
    noted = AuditLog.objects.get(action="reveal", outcome="allowed")
    assert (noted.detail, noted.patient_id) == ({"reason": "The laboratory asks"}, message.patient_id)


def test_a_message_is_shown_in_the_charset_of_its_feed_where_it_names_none() -> None:
    raw = RAW.replace(b"Zqlast", "Ko\u0142odziej".encode("iso8859-2"))
    message = make_inbound_message(raw, feed=make_lab_feed(charset="8859/2"))
    shown = client_for(make_user("admin")).post(
        f"/api/v1/inbound-messages/{message.pk}/reveal/", {"reason": "a test"}, format="json"
    )
    assert "Ko\u0142odziej" in shown.data["text"]
    report = senders.report_of(message)
    assert report is not None
    assert report.results[0].patient.family == "Ko\u0142odziej"


def test_a_look_at_a_difference_is_found_by_the_patients_it_shows() -> None:
    patients, api = [make_patient(), make_patient()], client_for(make_user("lab_tech"))
    replay = make_lab_replay(make_inbound_message(status="worklist", work_state="done"))
    entries = [{"kind": "order", "change": "appears", "patient": str(each.pk), "after": {}} for each in patients]
    ReplayedMessage.objects.update(difference=entries)
    LabReplay.objects.update(appears=2)
    url = f"/api/v1/lab-replays/{replay.pk}/difference/"
    answer = api.get(url)
    assert (answer.data["total"], answer.data["results"]) == (2, entries)
    assert api.get(url, {"first": 1}).data["results"] == entries[1:]
    assert api.get(url, {"first": "x"}).status_code == 400
    assert "difference" not in api.get(f"/api/v1/lab-replays/{replay.pk}/").data
    seen = AuditLog.objects.filter(action="replay.difference").values_list("patient_id", flat=True)
    assert sorted(seen) == sorted([patients[0].pk, patients[1].pk, patients[1].pk])
