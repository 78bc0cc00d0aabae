"""Holds what may change about an appointment, and that its version rises exactly when it must."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import free_time, make_appointment
from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
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


class TestReschedule:
    def test_it_makes_a_new_row_and_cancels_the_old_one(self) -> None:
        old, when = booked(), free_time()
        new = services.reschedule(old, by=None, appointment_datetime=when)
        stored = Appointment.objects.get(pk=old.pk)
        assert (stored.status, stored.cancellation_reason) == ("cancelled", "Rescheduled.")
        assert (new.status, new.rescheduled_from, new.appointment_datetime) == ("scheduled", old, when)
        assert (new.patient, new.doctor, new.duration_minutes, new.version) == (old.patient, old.doctor, 30, 1)

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
