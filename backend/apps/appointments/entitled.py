"""Keeps a doctor whose licence lapsed from new visits and tells which are to move; else they would be forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.utils import timezone

from backend.apps.appointments.models import AWAITED, Appointment
from backend.apps.core import scope
from backend.apps.core.models import Clinic
from backend.apps.credentials import entitlement
from backend.apps.credentials.entitlement import Gap, NotEntitled, Span
from backend.apps.credentials.models import Needed
from backend.apps.doctors.models import Doctor

TOLD = 50  # visits in a refusal; where all stand is told beside them
LIST = "/api/v1/appointments/"


def refuse(doctor: Doctor, starts_at: datetime, *, by: Any) -> None:
    """Refuse a new visit of a doctor without what visits need; staff is told which visits are to move.

    Raises:
        NotEntitled: as `credentials.entitlement` does.
    """
    zone = Clinic.current().zone
    try:
        entitlement.refuse_without(doctor, Needed.APPOINTMENTS, on=starts_at.astimezone(zone).date(), by=by)
    except NotEntitled as refusal:
        if refusal.gaps:
            refusal.booked = _booked(to_move(doctor, refusal.gaps, zone), doctor, by)
        raise


def may_be_booked(doctor: Doctor, starts_at: datetime) -> bool:
    on = starts_at.astimezone(Clinic.current().zone).date()
    return not entitlement.missing(doctor, Needed.APPOINTMENTS, on=on)


def to_move(doctor: Doctor, gaps: Sequence[Gap], zone: ZoneInfo) -> QuerySet[Appointment]:
    """Return the visits ahead that the doctor may not see by what is on file, the first one first."""
    ahead = Appointment.objects.filter(doctor=doctor, status__in=AWAITED, appointment_datetime__gt=timezone.now())
    for_good = [gap for gap in gaps if not gap.covered_from_now]
    if not for_good:
        covered = Q()
        for gap in gaps:
            covered &= _within(gap.covered_from_now, zone)
        ahead = ahead.exclude(covered)
    return ahead.order_by("appointment_datetime", "id")


def _booked(rows: QuerySet[Appointment], doctor: Doctor, by: Any) -> dict[str, Any]:
    """Return how many visits are to move, the first of those that `by` may see, and where all of them stand."""
    seen = scope.visible(rows, by).values_list("id", "appointment_datetime")[:TOLD]
    since = timezone.now().replace(microsecond=0)
    asked = [("doctor", doctor.pk), ("appointment_datetime__gte", since.isoformat())]
    return {
        "booked_count": rows.count(),
        "booked": [{"id": str(key), "appointment_datetime": moment.isoformat()} for key, moment in seen],
        "booked_list": f"{LIST}?{urlencode([*asked, *(('status', str(one)) for one in AWAITED)])}",
    }


def _within(spans: Iterable[Span], zone: ZoneInfo) -> Q:
    found = Q(pk__in=[])
    for first, last in spans:
        found |= Q(appointment_datetime__gte=_begin(first, zone), appointment_datetime__lt=_after(last, zone))
    return found


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _after(day: date, zone: ZoneInfo) -> datetime:
    """Return when the day is over; of a credential without an end the last day there is, short of overflow."""
    return _begin(min(day, date.max - timedelta(days=2)) + timedelta(days=1), zone)
