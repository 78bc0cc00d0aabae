"""Visits of the demo clinic: a year behind, a few weeks ahead, no slot taken twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone

from backend.apps.appointments.models import Appointment
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor
from backend.apps.patients.models import Patient
from backend.demo import calendar
from backend.demo.people import CHUNK, Tell, chunks

PER_PATIENT = 4
Status = Appointment.Status
PAST = (Status.COMPLETED,) * 17 + (Status.NO_SHOW, Status.CANCELLED, Status.CANCELLED)
AHEAD = (Status.SCHEDULED,) * 13 + (Status.CONFIRMED,) * 6 + (Status.CANCELLED,)


def create(patients: list[Patient], doctors: list[Doctor], tell: Tell) -> int:
    """Create four visits a patient; return how many. Nobody is reminded of made-up visits."""
    today = timezone.localdate(timezone=Clinic.current().zone)
    count = PER_PATIENT * len(patients)
    slots = calendar.around(today, -(-count // len(doctors)), Clinic.current().zone)
    for part in chunks(visits(patients, doctors, slots), CHUNK):
        Appointment.objects.bulk_create(part)
        tell(len(part))
    return count


def visits(patients: list[Patient], doctors: list[Doctor], slots: list[datetime]) -> Iterator[Appointment]:
    """Yield visit `k` of each patient in the k-th quarter of the slots: nobody is in two places at once."""
    dice, now = random.Random(1), timezone.now()  # noqa: S311  # made-up data
    kinds = Appointment.Type.values
    for place in range(PER_PATIENT * len(patients)):
        start = slots[place // len(doctors)]
        status = dice.choice(AHEAD if start > now else PAST)
        yield Appointment(
            patient=patients[place % len(patients)],
            doctor=doctors[place % len(doctors)],
            appointment_datetime=start,
            duration_minutes=30,
            appointment_type=dice.choice(kinds),
            location=f"Room {place % len(doctors) + 1}",
            status=status,
            **times(status, start),
        )


def times(status: str, start: datetime) -> dict[str, datetime | str]:
    """Return the time stamps that a visit of this status carries."""
    if status == Status.COMPLETED:
        return {
            "checked_in_at": start - timedelta(minutes=5),
            "started_at": start,
            "checked_out_at": start + timedelta(minutes=28),
        }
    if status == Status.CANCELLED:
        return {"cancelled_at": start - timedelta(days=2), "cancellation_reason": "Patient called."}
    return {}
