"""Holds what may change about an appointment, and that its version rises exactly when it must."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.cancellations import entry_of
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import free_time, make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.messaging.models import PatientMessage
from backend.apps.patients import consents
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


def booked() -> Appointment:
    return make_appointment(doctor=make_always_available(make_doctor()))


@pytest.mark.parametrize("name", ["appointment_datetime", "duration_minutes", "doctor", "location"])
def test_a_change_of_time_doctor_or_place_raises_the_version_once(name: str) -> None:
    row = booked()
    new = {
        "appointment_datetime": free_time(),
        "duration_minutes": 60,
        "doctor": make_always_available(make_doctor()),
        "location": "Room 4",
    }[name]
    changed = services.change(row, by=None, **{name: new})
    stored = Appointment.objects.get(pk=row.pk)
    assert getattr(stored, name) == new
    assert stored.version == changed.version == 2


@pytest.mark.parametrize(("name", "value"), [("reason", "cough"), ("appointment_type", "procedure")])
def test_a_change_that_does_not_move_the_visit_leaves_the_version(name: str, value: str) -> None:
    row = services.change(booked(), by=None, **{name: value})
    stored = Appointment.objects.get(pk=row.pk)
    assert (getattr(stored, name), stored.version) == (value, 1)


def test_saving_what_is_already_there_changes_nothing() -> None:
    row = booked()
    services.change(row, by=None, location=row.location, doctor=row.doctor, patient=row.patient)
    assert Appointment.objects.get(pk=row.pk).version == 1


@pytest.mark.parametrize("change", [{"location": "B"}, {"duration_minutes": 50}, {"status": "confirmed"}])
def test_a_raw_update_raises_the_version_too(change: dict[str, object]) -> None:
    row = make_appointment()
    Appointment.objects.filter(pk=row.pk).update(**change)
    assert Appointment.objects.get(pk=row.pk).version == 2
    Appointment.objects.filter(pk=row.pk).update(reason="x")
    assert Appointment.objects.get(pk=row.pk).version == 2


def test_a_change_over_a_row_that_moved_meanwhile_is_refused() -> None:
    mine = booked()
    theirs = Appointment.objects.get(pk=mine.pk)
    services.change(mine, by=None, location="A")
    with pytest.raises(Conflict, match="Someone else"):
        services.change(theirs, by=None, location="B")
    assert Appointment.objects.get(pk=mine.pk).location == "A"


def test_the_patient_of_an_appointment_never_changes() -> None:
    with pytest.raises(DomainError, match="cannot change"):
        services.change(booked(), by=None, patient=make_patient())


@pytest.mark.parametrize("status", ["completed", "cancelled", "no_show"])
def test_a_visit_that_is_over_is_not_changed(status: str) -> None:
    row = make_appointment(status=status)
    with pytest.raises(DomainError, match="no longer be changed"):
        services.change(row, by=None, location="B")


def test_the_time_is_fixed_once_the_patient_is_here_but_the_room_is_not() -> None:
    row = make_appointment(status="checked_in")
    with pytest.raises(DomainError, match="already here"):
        services.change(row, by=None, duration_minutes=10)
    assert services.change(row, by=None, location="Room 9").location == "Room 9"


def test_a_change_into_the_past_or_outside_the_hours_is_refused() -> None:
    row = booked()
    with pytest.raises(DomainError, match="has passed"):
        services.change(row, by=None, appointment_datetime=timezone.now() - timedelta(hours=1))
    with pytest.raises(DomainError, match="does not see patients"):
        services.change(row, by=None, doctor=make_doctor())
    with pytest.raises(ValidationError):
        services.change(row, by=None, duration_minutes=3)
    assert Appointment.objects.get(pk=row.pk).version == 1


def test_a_change_outside_the_hours_with_a_reason_notes_who_gave_it() -> None:
    user, row, doctor = make_user(), booked(), make_doctor()
    services.change(row, by=user, doctor=doctor, availability_override_reason="covers today")
    stored = Appointment.objects.get(pk=row.pk)
    assert (stored.doctor, stored.availability_overridden_by) == (doctor, user)


def test_a_reason_without_a_doctor_who_gave_it_is_kept_but_never_a_name_without_a_reason() -> None:
    with pytest.raises(IntegrityError, match="override_has_reason"):
        make_appointment(availability_overridden_by=make_user())


class TestTellingOfACancellation:
    def mailed(self, **over: Any) -> Appointment:
        """Save a visit of which a mail has told."""
        visit = make_appointment(
            doctor=make_always_available(make_doctor()), patient=make_reachable_patient(), **over.pop("visit", {})
        )
        fields = {"reminder_type": "email", "status": "sent", "work_state": "done", "sent_at": timezone.now(), **over}
        make_reminder(appointment=visit, **fields)
        return visit

    def test_who_was_mailed_the_visit_is_mailed_once_that_it_is_cancelled(self) -> None:
        visit = self.mailed()
        services.cancel(visit, by=None, reason="ill")
        message = PatientMessage.objects.get()
        assert (message.wording, message.channel, message.subject_id) == ("cancelled", "email", visit.pk)
        assert message.useful_until == visit.appointment_datetime
        with pytest.raises(IllegalTransition):
            services.cancel(visit, by=None, reason="ill")
        assert PatientMessage.objects.count() == 1

    @pytest.mark.parametrize(
        "over",
        [
            {"status": "pending", "work_state": "waiting", "sent_at": None},
            {"reminder_type": "sms"},
            {"visit": {"appointment_datetime": timezone.now() - timedelta(minutes=5)}},
        ],
    )
    def test_who_has_it_in_no_calendar_or_whose_visit_has_begun_is_not(self, over: dict[str, Any]) -> None:
        services.cancel(self.mailed(**over), by=None, reason="ill")
        assert not PatientMessage.objects.exists()

    def test_who_wants_no_mail_gets_none(self) -> None:
        visit = self.mailed()
        consents.opt_out_email(visit.patient, method="unsubscribe", evidence="t")
        visit.patient.refresh_from_db()
        services.cancel(visit, by=None, reason="ill")
        assert not PatientMessage.objects.exists()

    def test_a_visit_that_moves_is_told_by_its_next_reminder_and_its_end_even_before_that(self) -> None:
        visit = self.mailed()
        for _ in range(2):
            visit = services.reschedule(visit, by=None, appointment_datetime=free_time())
        assert not PatientMessage.objects.exists()
        services.cancel(visit, by=None, reason="ill")
        assert PatientMessage.objects.get().subject_id == visit.pk


class TestReschedule:
    def test_it_makes_a_new_row_and_cancels_the_old_one(self) -> None:
        old, when = booked(), free_time()
        new = services.reschedule(old, by=None, appointment_datetime=when)
        stored = Appointment.objects.get(pk=old.pk)
        assert (stored.status, stored.cancellation_reason) == ("cancelled", "Rescheduled.")
        assert (new.status, new.rescheduled_from, new.appointment_datetime) == ("scheduled", old, when)
        assert (new.patient, new.doctor, new.duration_minutes, new.version) == (old.patient, old.doctor, 30, 1)

    def test_r46_the_entry_of_the_calendar_stays_one_however_often_it_moves_and_its_number_rises(self) -> None:
        first = booked()
        seen = [entry_of(first)]
        for _ in range(2):
            services.confirm(first, by=None)
            seen.append(entry_of(first))
            first = services.reschedule(first, by=None, appointment_datetime=free_time())
            seen.append(entry_of(Appointment.objects.get(pk=first.pk)))
        services.cancel(first, by=None, reason="ill")
        seen.append(entry_of(first))
        assert {entry.uid for entry in seen} == {Appointment.objects.earliest("created_at").pk}
        numbers = [entry.sequence for entry in seen]
        assert numbers == sorted(set(numbers))
        assert [entry.is_cancelled for entry in seen] == [False] * 5 + [True]

    def test_the_new_time_may_overlap_the_old_one(self) -> None:
        old = booked()
        when = old.appointment_datetime + timedelta(minutes=10)
        assert services.reschedule(old, by=None, appointment_datetime=when, duration_minutes=45).duration_minutes == 45

    def test_a_new_time_that_is_taken_leaves_the_old_visit_as_it_was(self) -> None:
        old = booked()
        other = make_appointment(doctor=old.doctor)
        with pytest.raises(Conflict, match="doctor already"):
            services.reschedule(old, by=None, appointment_datetime=other.appointment_datetime)
        stored = Appointment.objects.get(pk=old.pk)
        assert (stored.status, stored.version) == ("scheduled", 1)

    @pytest.mark.parametrize("status", ["completed", "cancelled", "no_show", "in_progress"])
    def test_a_visit_that_is_on_or_over_is_not_rescheduled(self, status: str) -> None:
        with pytest.raises(DomainError, match="cannot be rescheduled"):
            services.reschedule(make_appointment(status=status), by=None, appointment_datetime=free_time())

    def test_the_rules_of_booking_hold_for_the_new_time(self) -> None:
        old = booked()
        with pytest.raises(DomainError, match="has passed"):
            services.reschedule(old, by=None, appointment_datetime=timezone.now() - timedelta(hours=1))
        with pytest.raises(DomainError, match="does not see patients"):
            services.reschedule(make_appointment(), by=None, appointment_datetime=free_time())

    def test_the_models_own_verb_refuses_what_the_table_refuses(self) -> None:
        with pytest.raises(IllegalTransition):
            make_appointment(status="completed").reschedule(free_time())
