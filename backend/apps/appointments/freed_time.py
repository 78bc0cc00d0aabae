"""Notes a time that became free while somebody waits for it, and that it is held; else the waitlist hears nothing."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from backend.apps.appointments.models import (
    HOLDS_SLOT,
    LONGEST,
    Appointment,
    EntryStatus,
    FreedSlot,
    SlotStatus,
    WaitlistEntry,
    WaitlistOffer,
)
from backend.apps.appointments.models.waitlist import NO_LATER, STILL_HELD
from backend.apps.core.exceptions import Conflict
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor


def note(was: Appointment) -> FreedSlot | None:
    """Queue the time of a visit that was cancelled or moved away, if somebody waits for one like it.

    was: the visit as it stood before. Called in the transaction that frees the time; twice is one row.
    """
    if was.appointment_datetime - NO_LATER <= timezone.now():
        return None
    draft = FreedSlot(
        doctor_id=was.doctor_id,
        starts_at=was.appointment_datetime,
        duration_minutes=was.duration_minutes,
        appointment_type=was.appointment_type,
        location=was.location,
        freed_by=was,
    )
    if not WaitlistEntry.objects.filter(fits(draft)).exists():
        return None
    kept = ("doctor_id", "starts_at", "duration_minutes", "appointment_type", "location", "freed_by")
    fields = {name: getattr(draft, name) for name in kept}
    return FreedSlot.work.enqueue(dedupe_key=f"freed:{was.pk}:{was.version}", **fields)


def fits(slot: FreedSlot) -> Q:
    """Return which entries of the waitlist want this time: by doctor, type, length, day and hour of the clinic."""
    zone = Clinic.current().zone
    begins = slot.starts_at.astimezone(zone)
    ends = slot.ends.astimezone(zone)
    by_hour = Q(earliest__isnull=True) | Q(earliest__lte=begins.time())
    if ends.date() == begins.date():
        by_hour &= Q(latest__isnull=True) | Q(latest__gte=ends.time())
    else:
        by_hour &= Q(latest__isnull=True)
    return (
        by_hour
        & (Q(doctor__isnull=True) | Q(doctor_id=slot.doctor_id))
        & ~Q(patient_id=slot.freed_by.patient_id)
        & Q(
            status=EntryStatus.WAITING,
            appointment_type=slot.appointment_type,
            duration_minutes__lte=slot.duration_minutes,
            from_on__lte=begins.date(),
            until_on__gte=begins.date(),
        )
    )


def wanted_by(entry: WaitlistEntry) -> QuerySet[FreedSlot]:
    """Return the open times that may be one this entry waits for; whether one is, `fits` says."""
    zone = Clinic.current().zone
    slots = FreedSlot.objects.filter(
        status=SlotStatus.OPEN,
        appointment_type=entry.appointment_type,
        duration_minutes__gte=entry.duration_minutes,
        starts_at__gte=datetime.combine(entry.from_on, time(), zone),
        starts_at__lt=datetime.combine(entry.until_on + timedelta(days=1), time(), zone),
    )
    return slots.filter(doctor=entry.doctor_id) if entry.doctor_id else slots


def refuse_held(doctor: Doctor, starts_at: datetime, ends_at: datetime) -> None:
    """Refuse to book a time of the doctor that a patient on the waitlist may still take."""
    offers = WaitlistOffer.objects.filter(STILL_HELD, slot__doctor=doctor)
    held = offers.filter(slot__starts_at__lt=ends_at, slot__ends_at__gt=starts_at).order_by("-held_until").first()
    if held is not None:
        until = held.held_until.astimezone(Clinic.current().zone)
        raise Conflict(
            f"This time is offered to a patient on the waitlist until {until:%H:%M}; choose another time or give a "
            "reason to book it all the same."
        )


def is_free(slot: FreedSlot) -> bool:
    """Whether no visit of the doctor lies in that time."""
    return not overlapping(slot).filter(doctor_id=slot.doctor_id).exists()


def overlapping(slot: FreedSlot) -> QuerySet[Appointment]:
    """Return the visits that hold some of that time, of whomever."""
    longest_before = slot.starts_at - timedelta(minutes=LONGEST)  # lets the indexes by start answer
    return Appointment.objects.filter(
        status__in=HOLDS_SLOT,
        appointment_datetime__gt=longest_before,
        appointment_datetime__lt=slot.ends,
        ends_at__gt=slot.starts_at,
    )
