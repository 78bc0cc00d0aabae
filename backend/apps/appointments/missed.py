"""Marks the visits nobody came to, and takes it back where the desk forgot to say that somebody did."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from backend.apps.appointments import no_shows, services
from backend.apps.appointments.models import AWAITED, SHORTEST, Appointment
from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError

LONG_OVER = timedelta(days=30)


def due(now: datetime | None = None) -> QuerySet[Any, UUID]:
    """Return the ids of visits whose patient is still awaited long after their end, the last of them first.

    So it is of the last one that a patient hears who missed several while we were down.
    """
    return _awaited(now or timezone.now()).order_by("-appointment_datetime").values_list("pk", flat=True)


@transaction.atomic
def mark(pk: UUID, now: datetime | None = None) -> bool:
    """Mark one visit as missed by the desk's own rules; False where that is done, or somebody has the visit in hand.

    Twice is once, and whoever dies in here leaves no trace: the status and the message are one transaction.
    """
    mine = _awaited(now or timezone.now()).select_for_update(no_key=True, skip_locked=True)
    visit = mine.filter(pk=pk).first()
    if visit is None:
        return False
    services.mark_no_show(visit, by=None)
    return True


@transaction.atomic
def came_after_all(appointment: Appointment, *, by: Any, reason: str, is_over: bool = False) -> Appointment:
    """Take back that nobody came: the patient is here now, or was and the visit is over. The reason is written down.

    The message about it is taken back. Late corrections are best told as over: the time may be another's by now.
    """
    if not reason.strip():
        raise DomainError("Say how it is known that the patient came.")
    if not is_over and appointment.ends_at < timezone.now() - LONG_OVER:
        raise DomainError("This visit was more than 30 days ago: nobody is here for it now; say that it is over.")
    with services.taking_a_slot(appointment):
        appointment.came_after_all(is_over=is_over)
    no_shows.take_back(appointment, by=by)
    detail = {"reason": reason.strip(), "is_over": is_over}
    audit.log_phi_access(by, "came_after_all.reason", appointment, detail=detail)
    return appointment


def _awaited(now: datetime) -> QuerySet[Appointment]:
    ended = now - timedelta(minutes=settings.NO_SHOW_AFTER_MIN)
    begun = ended - timedelta(minutes=SHORTEST)  # says the same, in the words of an index
    return Appointment.objects.filter(status__in=AWAITED, appointment_datetime__lte=begun, ends_at__lte=ended)
