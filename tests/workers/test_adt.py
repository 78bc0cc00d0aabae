"""Holds that other systems change demographics only by policy, of whom they fit, and never against a later word."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from backend.apps.core.models import AuditLog
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed, make_lab_order
from backend.apps.patients import services
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from workers import other_messages

pytestmark = pytest.mark.django_db
OKAFOR = {5: "Okafor^Ada", 7: "19800517"}


def message(
    patient: Patient | str, event: str = "A08", *, policy: str = "update", at: str = "20260302120000", **fields: Any
) -> InboundMessage:
    """Return a stored ADT message; `pid` are fields of PID by number, `mrg` those of MRG."""
    number = patient if isinstance(patient, str) else patient.medical_record_number
    pid, mrg = {3: f"{number}^^^CLINIC^MR", **fields.pop("pid", {})}, fields.pop("mrg", {})
    lines = [
        f"MSH|^~\\&|ADT|HOSPITAL|||20260302235959-0500||ADT^{event}|A1|P|2.5.1",
        f"EVN|{event}|{at}-0500",
        segment("PID", pid),
    ]
    raw = "\r".join([*lines, *([segment("MRG", mrg)] if mrg else [])]).encode(fields.pop("encoding", "utf-8"))
    feed = fields.pop("feed", None) or make_lab_feed(sending_facility=f"H{timezone.now():%f}", adt_policy=policy)
    return make_inbound_message(raw, message_type=f"ADT^{event}", feed=feed, **fields)


def segment(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def told(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return other_messages.handle(message(*args, **kwargs))


def test_what_was_said_is_taken_and_audited() -> None:
    patient = make_patient(address_line2="Apt 1")
    pid = {
        5: "Okafor-Berg^Adaeze^^^^^L",
        7: "19800517",
        8: "O",
        11: "99 Oak Road^Unit 7^Troy^NY^12180^USA^H",
        13: "(518) 555-0143^PRN^PH~^NET^Internet^ada@example.net",
        15: "spa",
    }
    outcome = told(patient, pid=pid)
    assert (outcome["status"], outcome["patient_id"], outcome["findings"]) == ("filed", patient.pk, [])
    patient.refresh_from_db()
    assert (patient.last_name, patient.first_name, patient.gender) == ("Okafor-Berg", "Adaeze", "other")
    assert (patient.address_line1, patient.address_line2, patient.city) == ("99 Oak Road", "Unit 7", "Troy")
    assert (patient.state, patient.postal_code, patient.country) == ("NY", "12180", "US")
    assert (patient.phone, patient.email, patient.preferred_language) == ("+15185550143", "ada@example.net", "es")
    record = AuditLog.objects.get(action="update")
    assert (record.patient_id, record.user_id) == (patient.pk, None)
    assert "phone" in record.detail["fields"]


@pytest.mark.parametrize(("kind", "status"), [("SS", "worklist"), ("MR", "filed")])
def test_a_number_that_is_never_a_record_number_finds_nobody(kind: str, status: str) -> None:
    patient = make_patient(medical_record_number="900001001")
    outcome = told(patient, pid={**OKAFOR, 3: f"900001001^^^CLINIC^{kind}"})
    assert (outcome["status"], outcome["patient_id"]) == (status, patient.pk if kind == "MR" else None)


def test_a_name_is_read_in_the_charset_of_the_feed_where_the_message_names_none() -> None:
    patient, feed = make_patient(), make_lab_feed(charset="8859/2", adt_policy="update")
    told(patient, feed=feed, pid={**OKAFOR, 5: "Ko\u0142odziej^Ada"}, encoding="iso8859-2")
    patient.refresh_from_db()
    assert patient.last_name == "Ko\u0142odziej"


def test_empty_keeps_and_null_empties_what_may_be_empty() -> None:
    patient = make_patient()
    told(patient, pid={**OKAFOR, 11: "", 13: '""', 14: '""^NET^Internet^""'})
    patient.refresh_from_db()
    assert (patient.phone, patient.email, patient.city, patient.first_name) == ("", "", "Albany", "Ada")
    outcome = told(patient, pid={**OKAFOR, 5: '""', 11: '""', 8: '""'}, at="20260302130000")
    patient.refresh_from_db()
    assert (patient.address_line1, patient.state, patient.gender) == ("", "", "unknown")
    assert (patient.last_name, patient.first_name) == ("Okafor", "Ada")
    assert [finding["field"] for finding in outcome["findings"]] == [5]


@pytest.mark.parametrize(
    ("number", "value", "field"),
    [
        (13, "call my mother 2", "phone"),
        (13, "^NET^Internet^not@an@address", "email"),
        (11, "1 Elm^^Albany^New York^12207^USA", "state"),
        (11, f"{'x' * 200}^^Albany^NY", "address_line1"),
        (8, "X", "gender"),
        (15, "Klingon!", "preferred_language"),
    ],
)
def test_what_cannot_be_used_is_told_without_itself_and_the_rest_is_taken(number: int, value: str, field: str) -> None:
    patient = make_patient()
    before = getattr(patient, field)
    outcome = told(patient, pid={**OKAFOR, 5: "Berg^Ada", number: value})
    patient.refresh_from_db()
    assert (outcome["status"], patient.last_name, getattr(patient, field)) == ("filed", "Berg", before)
    found = [{"segment": "PID", "number": 1, "field": number, "message": "cannot be used; what is on file stays"}]
    assert outcome["findings"] == found


@pytest.mark.parametrize(
    ("pid", "reason"),
    [
        ({5: "Doe^Jane", 7: "19900101"}, "Neither the name nor the date of birth fits the record number."),
        ({5: "Okafor^Jane"}, "Neither the name nor the date of birth fits the record number."),
        ({3: "NOBODY", 5: "Okafor^Ada", 7: "19800517"}, "No patient has this record number."),
        ({3: "", 5: "Okafor^Ada", 7: "19800517"}, "The message names no record number."),
    ],
)
def test_nobody_is_changed_whom_the_message_does_not_fit_and_nobody_is_made(pid: dict[int, str], reason: str) -> None:
    patient = make_patient()
    outcome = told(patient, "A28", pid={13: "+14155550199", **pid})
    assert (outcome["status"], outcome["status_reason"]) == ("worklist", reason)
    patient.refresh_from_db()
    assert (patient.phone, Patient.all_objects.count()) == ("+14155550100", 1)


def test_a_birth_date_changes_only_where_the_name_vouches_and_a_name_only_where_the_birth_date_does() -> None:
    patient = make_patient()
    told(patient, pid={5: "Okafor^Ada", 7: "19800518"})
    patient.refresh_from_db()
    assert patient.date_of_birth == date(1980, 5, 18)
    told(patient, pid={5: "Berg^Ada", 7: "19800518"}, at="20260302130000")
    patient.refresh_from_db()
    assert patient.last_name == "Berg"


def test_messages_end_the_same_in_any_order_and_repetition() -> None:
    patient, feed, ends = make_patient(), make_lab_feed(adt_policy="update"), set()
    said = [
        {"at": "20260302120000", "pid": {**OKAFOR, 5: "Berg^Ada", 13: "+14155550111"}},
        {"at": "20260303120000", "pid": {**OKAFOR, 13: "+14155550122"}},
        {"at": "20260304120000", "pid": {**OKAFOR, 5: "Berg^Adaeze", 13: "^NET^Internet^a@example.org"}},
        {"at": "20260304120000", "pid": {**OKAFOR, 13: '""', 15: "fre"}},
    ]
    messages = [message(patient, feed=feed, **each) for each in said]
    for some in itertools.permutations(messages):
        with transaction.atomic():
            for each in (*some, some[0]):
                assert other_messages.handle(each)["status"] == "filed"
            row = Patient.objects.get(pk=patient.pk)
            ends.add((row.last_name, row.first_name, row.phone, row.email, row.preferred_language))
            transaction.set_rollback(True)
    [end] = ends
    assert end[:2] in {("Okafor", "Ada"), ("Berg", "Adaeze")}  # said in the same second: the digest decides
    assert end[2:] == ("", "a@example.org", "fr")


def test_a_repeated_or_older_message_leaves_the_record_as_it_was_seen() -> None:
    patient = make_patient()
    said = {"pid": {**OKAFOR, 13: "+14155550111"}}
    told(patient, **said)
    seen = Patient.objects.get(pk=patient.pk).updated_at
    for at in ("20260302120000", "20260301120000", "20260303120000"):  # again, older, and later with nothing new
        told(patient, **said, at=at)
    row = Patient.objects.get(pk=patient.pk)
    assert (row.updated_at, row.demographics_as_of["phone"][:8]) == (seen, "20260303")


def test_what_a_person_wrote_later_stands() -> None:
    patient = services.register(
        by=None, first_name="Ada", last_name="Okafor", date_of_birth=date(1980, 5, 17), phone="+14155550100"
    )
    told(patient, pid={**OKAFOR, 13: "+14155550199", 15: "spa"})
    patient.refresh_from_db()
    assert (patient.phone, patient.preferred_language) == ("+14155550100", "es")


@pytest.mark.parametrize(
    ("policy", "event", "status"),
    [
        ("off", "A08", "rejected"),
        ("update", "A40", "worklist"),
        ("update", "A01", "rejected"),
        ("merge", "A31", "filed"),
    ],
)
def test_the_feeds_policy_decides(policy: str, event: str, status: str) -> None:
    patient = make_patient()
    assert told(patient, event, policy=policy, pid=OKAFOR, mrg={1: "X"})["status"] == status


def test_without_a_feed_no_demographics_are_taken() -> None:
    row = message(make_patient(), pid=OKAFOR)
    row.feed = None
    assert other_messages.handle(row)["status"] == "rejected"


def test_what_a_person_decided_counts_more_than_the_numbers() -> None:
    patient = make_patient()
    outcome = told("UNKNOWN", pid={5: "Berg^Eva", 7: "19700101"}, assigned_patient=patient)
    patient.refresh_from_db()
    assert (outcome["status"], patient.last_name) == ("filed", "Berg")


def test_records_are_merged_and_again_nothing_happens() -> None:
    stays, gone = make_patient(), make_patient()
    order = make_lab_order(patient=gone)
    row = message(stays, "A40", policy="merge", pid=OKAFOR, mrg={1: gone.medical_record_number})
    for _ in range(2):
        assert other_messages.handle(row)["status"] == "filed"
    order.refresh_from_db()
    gone.refresh_from_db()
    assert (order.patient, gone.merged_into) == (stays, stays)
    assert AuditLog.objects.filter(action="merge").count() == 1


@pytest.mark.parametrize("number", ["000{}", "0{}", " {}"])
def test_a_record_to_merge_is_found_by_its_number_as_results_are(number: str) -> None:
    stays, gone = make_patient(), make_patient(medical_record_number="123")
    told(stays, "A40", policy="merge", pid=OKAFOR, mrg={1: number.format("123")})
    gone.refresh_from_db()
    assert gone.merged_into == stays


def test_a_record_of_somebody_else_is_not_merged() -> None:
    stays, gone = make_patient(), make_patient(first_name="Eva", last_name="Berg", date_of_birth=date(1970, 1, 1))
    outcome = told(stays, "A40", policy="merge", pid=OKAFOR, mrg={1: gone.medical_record_number})
    assert (outcome["status"], outcome["status_reason"]) == (
        "worklist",
        "Neither the name nor the date of birth fits the record number.",
    )
    gone.refresh_from_db()
    assert gone.merged_into is None
    named = {1: gone.medical_record_number, 7: "Berg^Eva"}
    assert told(stays, "A40", policy="merge", pid=OKAFOR, mrg=named)["status"] == "filed"


def test_a_merge_that_is_refused_is_for_a_person() -> None:
    stays, gone = (make_patient(user=make_user(role="patient")) for _ in range(2))
    outcome = told(stays, "A40", policy="merge", pid=OKAFOR, mrg={1: gone.medical_record_number})
    assert outcome["status"] == "worklist"
    assert "login of its own" in outcome["status_reason"]


def test_a_record_that_was_never_here_needs_no_merge() -> None:
    outcome = told(make_patient(), "A40", policy="merge", pid=OKAFOR, mrg={1: "ELSEWHERE"})
    assert (outcome["status"], outcome["status_reason"]) == ("filed", "The record that goes away is not known here.")
