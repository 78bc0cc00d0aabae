"""Holds the resources `appointments` and `appointment-reminders` as callers see them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import (
    free_time,
    make_appointment,
    make_reachable_patient,
    make_reminder,
)
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

URL = "/api/v1/appointments/"
REMINDERS = "/api/v1/appointment-reminders/"
VERBS = ("confirm", "check_in", "start", "complete", "cancel", "mark_no_show", "reschedule")


class TestAppointmentContract(ApiContract):
    url: ClassVar[str] = URL
    reader: ClassVar[str] = "receptionist"
    stranger: ClassVar[str | None] = "lab_tech"

    def make(self) -> Appointment:
        return make_appointment()


class TestReminderContract(ApiContract):
    url: ClassVar[str] = REMINDERS
    reader: ClassVar[str] = "receptionist"
    stranger: ClassVar[str | None] = "patient"

    def make(self) -> AppointmentReminder:
        return make_reminder()


@pytest.fixture
def desk() -> APIClient:
    return client_for(make_user("receptionist"))


def body(**over: Any) -> dict[str, Any]:
    """Return what the front desk posts to book a patient who agreed to both channels."""
    over.setdefault("doctor", None)
    over.setdefault("patient", None)
    return {
        "appointment_datetime": free_time().isoformat(),
        "duration_minutes": 30,
        "appointment_type": "follow_up",
        **over,
        "doctor": str((over["doctor"] or make_always_available(make_doctor())).pk),
        "patient": str((over["patient"] or make_reachable_patient()).pk),
    }


def ids(client: APIClient, url: str, **query: Any) -> set[str]:
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.data
    return {row["id"] for row in answer.data["results"]}


@pytest.mark.django_db
class TestBooking:
    def test_a_booking_is_answered_stored_reminded_and_audited(self, desk: APIClient) -> None:
        answer = desk.post(URL, body())
        assert answer.status_code == 201, answer.data
        row = Appointment.objects.get(pk=answer.data["id"])
        assert answer.data["status"] == "scheduled"
        assert answer.data["patient_name"] == row.patient.full_name
        assert datetime.fromisoformat(answer.data["end_datetime"]) == row.end_datetime
        assert AppointmentReminder.objects.filter(appointment=row).count() == 4
        assert AuditLog.objects.filter(action="create", resource_id=str(row.pk), patient_id=row.patient_id).exists()

    def test_a_taken_time_is_409_and_says_who_is_taken(self, desk: APIClient) -> None:
        first = make_appointment(doctor=make_always_available(make_doctor()))
        answer = desk.post(URL, body(doctor=first.doctor, appointment_datetime=first.appointment_datetime.isoformat()))
        assert answer.status_code == 409
        assert answer.data["detail"] == "The doctor already has an appointment at that time."

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"appointment_datetime": "2020-01-01T10:00:00Z"}, 422),
            ({"appointment_datetime": "9999-12-31T23:59:59Z"}, 400),
            ({"appointment_datetime": "0001-01-01T00:00:00Z"}, 400),
            ({"appointment_datetime": "soon"}, 400),
            ({"duration_minutes": 4}, 400),
            ({"duration_minutes": 481}, 400),
            ({"appointment_type": "dance"}, 400),
            ({"status": "completed", "version": 9, "cancelled_at": "2030-01-01T00:00:00Z"}, 201),
            ({"imported": True}, 400),
            ({"reason": "a\x00b"}, 400),
            ({"location": "x" * 121}, 400),
        ],
    )
    def test_bad_input_is_refused_and_read_only_fields_are_not_taken(
        self, desk: APIClient, change: dict[str, Any], code: int
    ) -> None:
        answer = desk.post(URL, {**body(), **change})
        assert answer.status_code == code, answer.data
        assert Appointment.objects.filter(status="scheduled", version=1).count() == (code == 201)
        assert Appointment.objects.count() == (code == 201)

    def test_the_same_idempotency_key_books_once(self, desk: APIClient) -> None:
        wanted = body()
        answers = [desk.post(URL, wanted, headers={"Idempotency-Key": "desk-booking-0001"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert Appointment.objects.count() == 1

    def test_a_time_outside_the_hours_needs_a_reason_and_keeps_who_gave_it(self) -> None:
        user, wanted = make_user("nurse"), body(doctor=make_doctor())
        client = client_for(user)
        assert client.post(URL, wanted).status_code == 422
        answer = client.post(URL, {**wanted, "availability_override_reason": "urgent"})
        assert answer.status_code == 201
        assert answer.data["availability_overridden_by"] == user.pk

    def test_a_doctor_does_not_book_a_patient_of_others(self) -> None:
        doctor = make_always_available(make_doctor())
        wanted = body(doctor=doctor)
        assert client_for(doctor.user).post(URL, wanted).status_code == 400
        known = make_appointment(doctor=doctor).patient
        assert client_for(doctor.user).post(URL, {**wanted, "patient": str(known.pk)}).status_code == 201

    def test_a_change_needs_the_current_version_and_raises_it(self, desk: APIClient) -> None:
        row = make_appointment()
        tag = desk.get(f"{URL}{row.pk}/")["ETag"]
        answer = desk.patch(f"{URL}{row.pk}/", {"location": "Room 1"}, headers={"If-Match": tag})
        assert (answer.status_code, answer.data["version"]) == (200, 2)
        stale = desk.patch(f"{URL}{row.pk}/", {"location": "Room 2"}, headers={"If-Match": tag})
        assert stale.status_code == 412
        assert Appointment.objects.get(pk=row.pk).location == "Room 1"

    def test_nobody_deletes_an_appointment(self) -> None:
        row = make_appointment()
        assert client_for(make_user("admin")).delete(f"{URL}{row.pk}/").status_code == 403
        assert Appointment.objects.filter(pk=row.pk).exists()


@pytest.mark.django_db
class TestVerbs:
    def test_a_day_at_the_desk(self, desk: APIClient) -> None:
        row = make_appointment()
        for verb, status in (
            ("confirm", "confirmed"),
            ("check_in", "checked_in"),
            ("start", "in_progress"),
            ("complete", "completed"),
        ):
            answer = desk.post(f"{URL}{row.pk}/{verb}/")
            assert (answer.status_code, answer.data["status"]) == (200, status), answer.data
            assert AuditLog.objects.filter(action=verb, resource_id=str(row.pk), outcome="allowed").exists()

    def test_a_refused_arrow_is_a_422_with_a_sentence(self, desk: APIClient) -> None:
        answer = desk.post(f"{URL}{make_appointment().pk}/complete/")
        assert answer.status_code == 422
        assert answer.data["detail"] == "This appointment is scheduled and cannot become completed."

    def test_a_cancellation_needs_a_reason(self, desk: APIClient) -> None:
        row = make_appointment()
        assert desk.post(f"{URL}{row.pk}/cancel/").status_code == 400
        answer = desk.post(f"{URL}{row.pk}/cancel/", {"reason": "ill"})
        assert (answer.status_code, answer.data["cancellation_reason"]) == (200, "ill")

    def test_rescheduling_answers_the_new_row(self, desk: APIClient) -> None:
        old, when = make_appointment(doctor=make_always_available(make_doctor())), free_time()
        answer = desk.post(f"{URL}{old.pk}/reschedule/", {"appointment_datetime": when.isoformat()})
        assert answer.status_code == 200, answer.data
        assert answer.data["id"] != str(old.pk)
        assert answer.data["rescheduled_from"] == old.pk
        assert Appointment.objects.get(pk=old.pk).status == "cancelled"

    @pytest.mark.parametrize("role", ["lab_tech", "pharmacist"])
    @pytest.mark.parametrize("verb", VERBS)
    def test_laboratory_and_pharmacy_move_no_appointment(self, role: str, verb: str) -> None:
        row = make_appointment()
        assert client_for(make_user(role)).post(f"{URL}{row.pk}/{verb}/", {"reason": "x"}).status_code == 403
        assert Appointment.objects.get(pk=row.pk).version == 1


@pytest.mark.django_db
class TestPatients:
    @pytest.fixture
    def mine(self) -> Appointment:
        return make_appointment(patient=make_patient(user=make_user("patient")), availability_override_reason="x")

    def test_patients_see_their_own_appointments_without_the_desks_remarks(self, mine: Appointment) -> None:
        other = make_appointment()
        client = client_for(mine.patient.user)
        assert ids(client, URL) == {str(mine.pk)}
        assert client.get(f"{URL}{other.pk}/").status_code == 404
        assert "availability_override_reason" not in client.get(f"{URL}{mine.pk}/").data

    def test_patients_confirm_and_cancel_their_own_only(self, mine: Appointment) -> None:
        other = make_appointment()
        client = client_for(mine.patient.user)
        assert client.post(f"{URL}{mine.pk}/confirm/").data["status"] == "confirmed"
        assert client.post(f"{URL}{mine.pk}/cancel/", {"reason": "ill"}).data["status"] == "cancelled"
        assert client.post(f"{URL}{other.pk}/cancel/", {"reason": "x"}).status_code == 404
        assert Appointment.objects.get(pk=other.pk).status == "scheduled"

    @pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in {"confirm", "cancel"}])
    def test_patients_do_nothing_else(self, mine: Appointment, verb: str) -> None:
        client = client_for(mine.patient.user)
        assert client.post(f"{URL}{mine.pk}/{verb}/").status_code == 403
        assert client.patch(f"{URL}{mine.pk}/", {"location": "x"}).status_code == 403
        assert client.post(URL, body(patient=mine.patient)).status_code == 403

    def test_a_doctor_sees_appointments_of_own_patients_only(self) -> None:
        mine, other = make_appointment(), make_appointment()
        elsewhere = make_appointment(patient=mine.patient)
        client = client_for(mine.doctor.user)
        assert ids(client, URL) == {str(mine.pk), str(elsewhere.pk)}
        assert client.post(f"{URL}{other.pk}/cancel/", {"reason": "x"}).status_code == 404


@pytest.mark.django_db
class TestLists:
    def test_filters_by_time_people_status_and_type(self, desk: APIClient) -> None:
        row = make_appointment(appointment_type="procedure", status="confirmed", location="Room 5")
        make_appointment()
        start = row.appointment_datetime
        for query in (
            {"doctor": row.doctor_id},
            {"patient": row.patient_id},
            {"status": "confirmed"},
            {"status": ["confirmed", "completed"]},
            {"appointment_type": "procedure"},
            {"location": "Room 5"},
            {"appointment_datetime__gte": start.isoformat(),
             "appointment_datetime__lt": (start + timedelta(minutes=1)).isoformat()},
        ):  # fmt: skip
            assert ids(desk, URL, **query) == {str(row.pk)}, query

    def test_a_day_is_a_day_of_the_clinics_calendar(self, desk: APIClient) -> None:
        Clinic.objects.create(name="West", time_zone="America/Los_Angeles")
        row = make_appointment(appointment_datetime=datetime(2031, 3, 4, 6, tzinfo=UTC))  # 3 March, 22:00
        assert ids(desk, URL, on=date(2031, 3, 3)) == {str(row.pk)}
        assert ids(desk, URL, on=date(2031, 3, 4)) == set()
        assert ids(desk, URL, on="9999-12-31") == set()

    def test_an_unknown_status_or_day_is_400(self, desk: APIClient) -> None:
        assert desk.get(URL, {"status": "late"}).status_code == 400
        assert desk.get(URL, {"on": "tomorrow"}).status_code == 400

    def test_reminders_are_found_by_appointment_and_state_and_written_by_nobody(self, desk: APIClient) -> None:
        row = make_reminder()
        make_reminder(status="sent", sent_at=timezone.now(), work_state="done")
        assert ids(desk, REMINDERS, appointment=row.appointment_id) == {str(row.pk)}
        assert ids(desk, REMINDERS, status="pending", reminder_type="sms") == {str(row.pk)}
        admin = client_for(make_user("admin"))
        assert admin.post(REMINDERS, {}).status_code in {403, 405}
        assert admin.delete(f"{REMINDERS}{row.pk}/").status_code in {403, 405}
