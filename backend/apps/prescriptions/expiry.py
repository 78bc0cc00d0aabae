"""Ends prescriptions that may no longer be dispensed, and tells of refills nobody answers; else both would just lie."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max
from django.db.models.functions import Now

from backend.apps.core import alerts
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor
from backend.apps.prescriptions.models import Prescription, PrescriptionRefill, PrescriptionStatus, RefillStatus

BATCH = 500  # prescriptions of a transaction
KIND = "prescription_refills_waiting"
EXPIRED = "The prescription has expired; ask the doctor for a new one."
OPEN = (RefillStatus.REQUESTED, RefillStatus.APPROVED)


def expire_due(today: date | None = None) -> int:
    """Mark what may no longer be dispensed as expired, and end the requests to refill it; return how many expired.

    Batch by batch, each both or neither. Safe to run again, at once too: a row that somebody has in hand is left for
    the next run.
    """
    day, expired = today or Clinic.today(), 0
    while batch := _expire_batch(day):
        expired += batch
    _end(PrescriptionRefill.objects.filter(prescription__status=PrescriptionStatus.EXPIRED))  # asked for at that moment
    return expired


def watch() -> tuple[int, int]:
    """Tell each prescriber how many requests wait too long, once; return (told, cleared). Safe to repeat.

    What a person dismissed is told again when another request has waited too long.
    """
    patience = timedelta(hours=settings.REFILLS_WAIT_H)
    late = PrescriptionRefill.objects.filter(status=RefillStatus.REQUESTED, requested_date__lte=Now() - patience)
    of_doctors = late.order_by().values("prescription__doctor").annotate(many=Count("pk"), last=Max("requested_date"))
    found = {f"refills waiting:{row['prescription__doctor']}": row for row in of_doctors}
    alerts.clear(*(gone := alerts.open_causes(KIND) - found.keys()))
    dismissed = alerts.all_dismissed({cause: row["last"] + patience for cause, row in found.items()})
    for cause in found.keys() - dismissed:
        doctor, many = found[cause]["prescription__doctor"], found[cause]["many"]
        sentence = f"Requests for refills that wait longer than {settings.REFILLS_WAIT_H} hours for doctor {doctor}"
        alerts.open_once(cause, kind=KIND, subject=Doctor(pk=doctor), sentence=f"{sentence}: {many}.")
    return len(found.keys() - dismissed), len(gone)


@transaction.atomic
def _expire_batch(day: date) -> int:
    """Expire some; nobody is waited for, since who dispenses locks the request before the prescription."""
    due = Prescription.objects.filter(
        status__in=[PrescriptionStatus.ACTIVE, PrescriptionStatus.ON_HOLD], expiration_date__lt=day
    )
    mine = due.order_by("expiration_date").select_for_update(no_key=True, skip_locked=True)
    keys = set(mine.values_list("pk", flat=True)[:BATCH])
    asked = PrescriptionRefill.objects.filter(prescription__in=keys, status__in=OPEN)
    free = asked.select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True)
    mine_too = set(free)
    keys -= set(asked.exclude(pk__in=mine_too).values_list("prescription_id", flat=True))
    expired = Prescription.objects.filter(pk__in=keys).update(status=PrescriptionStatus.EXPIRED, updated_at=Now())
    _end(PrescriptionRefill.objects.filter(pk__in=mine_too, prescription__in=keys))
    return expired


def _end(refills: Any) -> None:
    """Deny what nobody has answered, with the reason, and call off what was granted."""
    denied = {"status": RefillStatus.DENIED, "denial_reason": EXPIRED}
    refills.filter(status=RefillStatus.REQUESTED).update(**denied, updated_at=Now())
    refills.filter(status=RefillStatus.APPROVED).update(status=RefillStatus.CANCELLED, updated_at=Now())
