"""What can happen to an appointment: views, admin, importers and self-service all come here."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from backend.apps.appointments import cancellations, entitled, freed_time, no_shows, recalls
from backend.apps.appointments.models import AWAITED, HOLDS_SLOT, Appointment
from backend.apps.appointments.reminders import replan, supersede, why_not
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.roles import Role
from backend.apps.doctors import services as doctors
from backend.apps.doctors.models import Doctor
from backend.apps.patients import emergencies
from backend.apps.patients.models import Patient

__all__ = [
    "book", "cancel", "change", "check_in", "complete", "confirm", "mark_no_show", "reschedule", "start", "why_not",
]  # fmt: skip

FARTHEST = timedelta(days=2 * 366)
WHILE_AWAITED = frozenset({"appointment_datetime", "duration_minutes", "doctor"})
TAKEN = {
    "appointments_appointment_doctor_once": "The doctor already has an appointment at that time.",
    "appointments_appointment_patient_once": "The patient already has an appointment at that time.",
}


@transaction.atomic
def book(
    *, by: Any, patient: Patient, doctor: Doctor, appointment_datetime: datetime, imported: bool = False, **fields: Any
) -> Appointment:
    """Book a visit and plan its reminders.

    imported: take it over from another system as it is, past times, times outside the doctor's hours and doctors whose
        licence has lapsed too; only the rule of one visit at a time still holds.
    """
    row = Appointment(patient=patient, doctor=doctor, appointment_datetime=appointment_datetime, **fields)
    row.full_clean(validate_constraints=False)
    if not imported:
        _check_people(row)
        _check_time(row)
        entitled.refuse(row.doctor, row.appointment_datetime, by=by)
        _check_hours(row, by)
    with taking_a_slot(row):
        row.save(force_insert=True)
    replan(row)
    recalls.booked(row)
    return row


@transaction.atomic
def change(appointment: Appointment, *, by: Any, **fields: Any) -> Appointment:
    """Correct an appointment in place; one that moves to another day is better rescheduled."""
    new = {name: value for name, value in fields.items() if getattr(appointment, name) != value}
    if not new:
        return appointment
    _check_changeable(appointment, set(new))
    if "doctor" in new and new["doctor"].user_id == getattr(by, "pk", None):
        emergencies.refuse_taking_over(appointment.patient, by=by)
    before = copy.copy(appointment)
    with taking_a_slot(appointment, new.get("doctor")):
        appointment.change(**_checked_changes(appointment, new, by))
    replan(appointment)
    if {"appointment_datetime", "doctor"} & set(new):
        freed_time.note(before)
    return appointment


@transaction.atomic
def confirm(appointment: Appointment, *, by: Any) -> Appointment:
    """Note that the patient is coming; the reminders that are still ahead stay."""
    if appointment.has_begun and appointment.can_move_to(Appointment.Status.CONFIRMED):
        raise DomainError("This appointment has already begun.")
    with taking_a_slot(appointment):
        appointment.move_to(Appointment.Status.CONFIRMED)
    replan(appointment)
    return appointment


@transaction.atomic
def check_in(appointment: Appointment, *, by: Any) -> Appointment:
    """Note that the patient is here."""
    with taking_a_slot(appointment):
        appointment.check_in()
    supersede(appointment)
    return appointment


@transaction.atomic
def start(appointment: Appointment, *, by: Any) -> Appointment:
    """Note that the doctor has begun."""
    with taking_a_slot(appointment):
        appointment.move_to(Appointment.Status.IN_PROGRESS, started_at=timezone.now())
    supersede(appointment)
    return appointment


@transaction.atomic
def complete(appointment: Appointment, *, by: Any) -> Appointment:
    """Note that the visit is over; the rest of its time is free again."""
    appointment.complete()
    supersede(appointment)
    return appointment


@transaction.atomic
def cancel(appointment: Appointment, *, by: Any, reason: str, offer_time: bool = True) -> Appointment:
    """Cancel an appointment; its time is free again and its reminders go with it. Who was mailed it is told.

    offer_time: offer the time to who waits for one; not where the doctor is ill, say.
    """
    if getattr(by, "role", None) == Role.PATIENT and (appointment.has_begun or appointment.status not in AWAITED):
        raise DomainError("This appointment can no longer be cancelled here; please call the clinic.")
    appointment.cancel(reason)
    supersede(appointment)
    cancellations.tell(appointment)
    if offer_time:
        freed_time.note(appointment)
    return appointment


@transaction.atomic
def mark_no_show(appointment: Appointment, *, by: Any) -> Appointment:
    """Note that the patient did not come; they are written to once, unless they book another visit first."""
    appointment.mark_no_show()
    no_shows.follow_up(appointment)  # first: it locks the patient, and patients are locked before reminders
    supersede(appointment)
    return appointment


@transaction.atomic
def reschedule(
    appointment: Appointment,
    *,
    by: Any,
    appointment_datetime: datetime,
    duration_minutes: int | None = None,
    availability_override_reason: str = "",
) -> Appointment:
    """Cancel this appointment and return a new one at another time, with its own reminders."""
    if not appointment.can_move_to(Appointment.Status.CANCELLED):
        raise DomainError(f"This appointment is {appointment.status} and cannot be rescheduled.")
    emergencies.refuse_shut(appointment.patient, by=by)
    draft = Appointment(
        patient=appointment.patient,
        doctor=appointment.doctor,
        appointment_datetime=appointment_datetime,
        duration_minutes=duration_minutes or appointment.duration_minutes,
        availability_override_reason=availability_override_reason,
    )
    draft.full_clean(validate_constraints=False)
    _check_time(draft)
    entitled.refuse(draft.doctor, draft.appointment_datetime, by=by)
    _check_hours(draft, by)
    with taking_a_slot(appointment):
        new = appointment.reschedule(
            draft.appointment_datetime,
            draft.duration_minutes,
            availability_override_reason=draft.availability_override_reason,
            availability_overridden_by=draft.availability_overridden_by,
        )
    supersede(appointment)
    replan(new)
    freed_time.note(appointment)
    return new


@contextmanager
def taking_a_slot(appointment: Appointment, new_doctor: Doctor | None = None) -> Iterator[None]:
    """Serialise the writers of one doctor's or patient's day, and say who is taken when a constraint refuses.

    The constraint alone keeps the day right, but two transactions that insert at once would wait for each other and
    PostgreSQL would end one of them as a deadlock. Locks are taken in one order: appointment, doctors, patient.
    """
    if not appointment._state.adding:
        _lock(Appointment, appointment.pk)
    _lock(Doctor, *sorted({appointment.doctor_id, getattr(new_doctor, "pk", appointment.doctor_id)}))
    _lock(Patient, appointment.patient_id)
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
        if constraint not in TAKEN:
            raise
        raise Conflict(TAKEN[constraint]) from None


def _lock(model: Any, *keys: Any) -> None:
    rows = model._base_manager.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    list(rows.values_list("pk"))


def _check_people(row: Appointment) -> None:
    if row.patient.is_deleted or row.doctor.is_deleted:
        raise DomainError("The patient or the doctor is no longer on file.")
    if row.doctor.is_accepting_patients:
        return
    if not Appointment.objects.filter(doctor=row.doctor_id, patient=row.patient_id).exists():
        raise DomainError("This doctor does not take new patients.")


def _check_time(row: Appointment) -> None:
    now = timezone.now()
    if row.appointment_datetime <= now:
        raise DomainError("This time has passed; choose a later one.")
    if row.appointment_datetime > now + FARTHEST:
        raise DomainError("This is more than two years ahead; check the year.")


def _check_hours(row: Appointment, by: Any) -> None:
    """Refuse a time outside the doctor's hours or held for the waitlist unless a reason is given; note who gave it."""
    row.availability_override_reason = row.availability_override_reason.strip()
    row.availability_overridden_by = by if row.availability_override_reason else None
    if row.availability_override_reason:
        return
    if not doctors.is_available(row.doctor, row.appointment_datetime, row.end_datetime):
        raise DomainError(
            "The doctor does not see patients at that time; choose another time or give a reason for the exception."
        )
    freed_time.refuse_held(row.doctor, row.appointment_datetime, row.end_datetime)


def _check_changeable(appointment: Appointment, names: set[str]) -> None:
    if "patient" in names:
        raise DomainError("The patient of an appointment cannot change; cancel this one and book another.")
    if appointment.status not in HOLDS_SLOT:
        raise DomainError(f"This appointment is {appointment.status} and can no longer be changed.")
    if names & WHILE_AWAITED and appointment.status not in AWAITED:
        raise DomainError("The patient is already here; time and doctor can no longer be changed.")


def _checked_changes(appointment: Appointment, new: dict[str, Any], by: Any) -> dict[str, Any]:
    """Return what to save: `new`, checked as a whole row, and who overrode the doctor's hours if somebody did."""
    draft = Appointment(**{field.attname: getattr(appointment, field.attname) for field in _stored_fields()})
    draft._state.adding = False
    for name, value in new.items():
        setattr(draft, name, value)
    draft.full_clean(validate_constraints=False)
    if "appointment_datetime" in new:
        _check_time(draft)
    if {"appointment_datetime", "doctor"} & set(new):
        entitled.refuse(draft.doctor, draft.appointment_datetime, by=by)
    if set(new) & (WHILE_AWAITED | {"availability_override_reason"}):
        _check_hours(draft, by)
        new["availability_override_reason"] = draft.availability_override_reason
        new["availability_overridden_by"] = draft.availability_overridden_by
    return new


def _stored_fields() -> list[Any]:
    return [field for field in Appointment._meta.concrete_fields if not field.generated]
