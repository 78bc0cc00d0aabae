"""Others book, move, confirm and cancel visits by FHIR under the rules that hold at the desk."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import free_time, make_appointment
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.credentials.tests.override_factories import lapsed_doctor
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.interop.tests.fhir.writing import codes, get, post, put
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.fhir.terms import V2
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> APIClient:
    return client_for(make_user(role="receptionist"))


def visit(patient: Patient, doctor: Doctor, **over: Any) -> dict[str, Any]:
    start = free_time()
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "appointmentType": {"coding": [{"system": f"{V2}0276", "code": "FOLLOWUP"}]},
        "reasonCode": [{"text": "Blood pressure"}],
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=45)).isoformat(),
        "participant": [
            {"actor": {"reference": f"Patient/{patient.pk}"}, "status": "needs-action"},
            {"actor": {"reference": f"Practitioner/{doctor.pk}"}, "status": "accepted"},
        ],
        **over,
    }


def body_of(desk: APIClient, row: Appointment) -> dict[str, Any]:
    return get(desk, "Appointment", row.pk)


def sent(desk: APIClient, body: dict[str, Any], **over: Any) -> Any:
    return put(desk, {**body, **over}, body["meta"]["versionId"])


def test_a_visit_that_was_posted_is_booked_and_read_back_as_it_was_sent(desk: APIClient) -> None:
    patient, doctor = make_patient(), make_always_available(make_doctor())
    clinic, body = Clinic.objects.create(name="Elm Street Practice"), visit(patient, doctor)
    room = {"actor": {"reference": f"Location/{clinic.pk}", "display": "Room 2"}, "status": "accepted"}
    body["participant"].append(room)
    answer = post(desk, body, "Appointment")
    assert answer.status_code == 201, answer.content
    written = answer.json()
    row = Appointment.objects.get(pk=written["id"])
    assert (row.status, row.appointment_type, row.duration_minutes) == ("scheduled", "follow_up", 45)
    assert (row.patient, row.doctor, row.reason, row.location) == (patient, doctor, "Blood pressure", "Room 2")
    assert (written["status"], written["reasonCode"]) == ("booked", body["reasonCode"])
    assert [one["actor"] for one in written["participant"]] == [one["actor"] for one in body["participant"]]
    assert [one["status"] for one in written["participant"]] == ["needs-action", "accepted", "accepted"]
    assert AuditLog.objects.get(action="create").patient_id == patient.pk


def test_what_was_read_can_be_written_back_and_changes_nothing(desk: APIClient) -> None:
    for status in Appointment.Status.values:
        reason = {"cancellation_reason": "Moved away."} if status == "cancelled" else {}
        row = make_appointment(status=status, location="Room 1", reason="Cough", **reason)
        answer = sent(desk, body_of(desk, row))
        assert answer.status_code == 200, (status, answer.content)
        before = row.version
        row.refresh_from_db()
        assert (row.status, row.version) == (status, before)


def test_a_visit_is_moved_changed_and_confirmed_in_one_step(desk: APIClient) -> None:
    row = make_appointment(doctor=make_always_available(make_doctor()), location="Room 1")
    body, start = body_of(desk, row), free_time()
    body["participant"][0]["status"] = "accepted"
    body["participant"].pop()
    times = {"start": start.isoformat(), "end": (start + timedelta(minutes=20)).isoformat()}
    del body["minutesDuration"], body["appointmentType"]
    answer = sent(desk, body, **times, reasonCode=[{"text": "Cough"}])
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert (row.status, row.appointment_datetime, row.duration_minutes) == ("confirmed", start, 20)
    assert (row.reason, row.location, row.appointment_type) == ("Cough", "", "consultation")
    assert answer["ETag"] != f'W/"{body["meta"]["versionId"]}"'


def test_a_visit_is_cancelled_with_its_reason_and_not_without(desk: APIClient) -> None:
    row = make_appointment()
    body = body_of(desk, row)
    without = sent(desk, body, status="cancelled")
    assert (without.status_code, codes(without)) == (422, {("required", "Appointment.cancelationReason.text")})
    answer = sent(desk, body, status="cancelled", cancelationReason={"text": "Moved away."})
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert (row.status, row.cancellation_reason) == ("cancelled", "Moved away.")
    again = sent(desk, answer.json(), cancelationReason={"text": "Another one."})
    assert (again.status_code, codes(again)) == (422, {("business-rule", "Appointment.cancelationReason.text")})
    back = {name: value for name, value in answer.json().items() if name != "cancelationReason"}
    back["participant"][0]["status"] = "needs-action"
    assert sent(desk, back, status="booked").status_code == 422


def test_a_status_is_reached_by_its_verb_or_not_at_all(desk: APIClient) -> None:
    row = make_appointment(status="confirmed")
    body = body_of(desk, row)
    for status in ("fulfilled", "noshow", "entered-in-error"):
        answer = sent(desk, body, status=status)
        assert (answer.status_code, {code for code, _ in codes(answer)}) == (422, {"business-rule"}), status
    answer = sent(desk, body, status="arrived")
    row.refresh_from_db()
    assert (answer.status_code, row.status) == (200, "checked_in")
    assert row.checked_in_at is not None


def test_who_is_checked_in_has_arrived_and_no_body_says_that_the_doctor_has_begun(desk: APIClient) -> None:
    row, begun = make_appointment(status="confirmed"), make_appointment(status="in_progress")
    for visit_of, status in ((row, "checked_in"), (row, "checked_in"), (begun, "in_progress")):
        answer = sent(desk, body_of(desk, visit_of), status="checked-in")
        visit_of.refresh_from_db()
        assert (answer.status_code, visit_of.status) == (200, status), answer.content
        assert answer.json()["status"] == "arrived"


def test_a_visit_whose_doctor_is_off_file_can_be_cancelled_and_a_reason_too_long_is_told(desk: APIClient) -> None:
    row = make_appointment()
    Doctor.objects.filter(pk=row.doctor_id).update(is_deleted=True, deleted_at=timezone.now())
    body = body_of(desk, row)
    long = sent(desk, body, status="cancelled", cancelationReason={"text": "x" * 301})
    assert (long.status_code, codes(long)) == (422, {("too-long", "Appointment.cancelationReason.text")})
    answer = sent(desk, body, status="cancelled", cancelationReason={"text": "Moved away."})
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_rules_of_the_desk_are_told_and_nothing_is_booked(desk: APIClient) -> None:
    patient, doctor = make_patient(), make_always_available(make_doctor())
    taken = make_appointment(doctor=doctor)
    times = {"start": taken.appointment_datetime.isoformat(), "end": taken.end_datetime.isoformat()}
    refused: list[tuple[dict[str, Any], int, str]] = [
        (times, 409, "conflict"),
        ({"start": "2020-01-01T10:00:00Z", "end": "2020-01-01T10:30:00Z"}, 422, "business-rule"),
        ({"status": "fulfilled"}, 422, "business-rule"),
        ({"status": "proposed", "start": None, "end": None}, 422, "required"),
        ({"minutesDuration": 10}, 422, "business-rule"),
        ({"appointmentType": {"text": "Party"}}, 422, "not-supported"),
        ({"serviceType": [{"text": "x"}]}, 422, "not-supported"),
        ({"created": "2026-01-01T10:00:00Z"}, 422, "not-supported"),
        ({"reasonCode": [{"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}]}, 422, "not-supported"),
        ({"participant": visit(patient, doctor)["participant"][:1]}, 422, "required"),
    ]
    for over, status, code in refused:
        body = {name: value for name, value in visit(patient, doctor, **over).items() if value is not None}
        answer = post(desk, body, "Appointment")
        assert (answer.status_code, code in {found for found, _ in codes(answer)}) == (status, True), over
    stranger = visit(patient, make_doctor())
    stranger["participant"][1]["actor"]["reference"] = f"Practitioner/{patient.pk}"
    unknown = post(desk, stranger, "Appointment")
    assert (unknown.status_code, {code for code, _ in codes(unknown)}) == (422, {"not-found"})
    assert Appointment.objects.count() == 1


def test_a_patient_changes_no_visit_here_and_a_doctor_only_their_own_patients() -> None:
    user = make_user(role="patient")
    row = make_appointment(patient=make_patient(user=user))
    client = client_for(user)
    assert sent(client, body_of(client, row), status="arrived").status_code == 403
    doctor = make_always_available(make_doctor())
    other = client_for(doctor.user)
    assert sent(other, body_of(client, row)).status_code == 405  # as of an id that is nobody's
    answer = post(other, visit(row.patient, doctor), "Appointment")
    assert (answer.status_code, {code for code, _ in codes(answer)}) == (422, {"not-found"})


def test_a_visit_with_a_doctor_whose_licence_lapsed_is_422_and_says_what_ended(desk: APIClient) -> None:
    doctor = make_always_available(lapsed_doctor())
    answer = post(desk, visit(make_patient(), doctor), "Appointment")
    assert answer.status_code == 422
    assert "state license (NY) ended on" in answer.json()["issue"][0]["diagnostics"]
    assert not Appointment.objects.exists()
