"""Cuts the audit log by person, patient, row, action, outcome and days, by its indexes; else a look reads it all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date

from backend.apps.core import audit_showing
from backend.apps.core.models import AuditLog
from backend.apps.interop.retention_classes import SIX_YEARS

USUAL_DAYS, MOST_DAYS = 7, 366
LOOKED_THROUGH = 20_000  # entries of which those of an action are found: no index knows actions
LONGEST = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """What the log is asked for. first, last: days by the clinic's clock, both included; six years of a patient."""

    first: date
    last: date
    person: UUID | None = None
    patient: UUID | None = None
    resource: str = ""
    row: str = ""
    action: str = ""
    outcome: str = ""

    @classmethod
    def of(cls, given: QueryDict, today: date) -> Asked:
        last = min(_day(given.get("last", "")) or today, today)
        first = _day(given.get("first", "")) or last - timedelta(days=USUAL_DAYS - 1)
        patient, outcome = _uuid(given.get("patient", "")), given.get("outcome", "")
        most = MOST_DAYS if patient is None else SIX_YEARS
        first = max(min(first, last), last - timedelta(days=most - 1))
        return cls(
            first,
            last,
            person=_uuid(given.get("person", "")),
            patient=patient,
            resource=given.get("resource", "").strip()[:LONGEST],
            row=given.get("row", "").strip()[:LONGEST],
            action=given.get("action", "").strip()[:LONGEST],
            outcome=outcome if outcome in AuditLog.Outcome.values else "",
        )

    @property
    def lacks_kind(self) -> bool:
        """Whether a row is asked for whose kind is not: no index finds it."""
        return bool(self.row and not self.resource)

    @property
    def names(self) -> list[str]:
        """What it is cut by, without values: they go into the row about this look."""
        return [name for name in ("person", "patient", "resource", "row", "action", "outcome") if getattr(self, name)]


def rows(asked: Asked) -> tuple[QuerySet[AuditLog], datetime | None]:
    """Return the entries asked for, and the moment the look ended at where it did not reach the first day.

    None are found where `lacks_kind`: entries of other rows would be taken for those of the one asked for.
    """
    if asked.lacks_kind:
        return AuditLog.objects.none(), None
    found = AuditLog.objects.filter(timestamp__gte=_start(asked.first), timestamp__lt=_start(asked.last, 1))
    found = found.filter(**_indexed(asked))
    if asked.patient:
        found = found.filter(audit_showing.showing(asked.patient))
    if not asked.action:
        return found, None
    ended = _floor(found)
    if ended is not None:
        found = found.filter(timestamp__gte=ended)
    return found.filter(action__startswith=asked.action), ended


def _indexed(asked: Asked) -> dict[str, Any]:
    """Return the filters an index stands behind, each with the time."""
    told: dict[str, Any] = {"user": asked.person, "outcome": asked.outcome}
    told["resource_type"] = asked.resource
    if asked.resource:
        told["resource_id"] = asked.row
    return {name: value for name, value in told.items() if value}


def _floor(found: QuerySet[AuditLog]) -> datetime | None:
    """Return the moment of the last entry that is looked through, None where all are."""
    moments = found.order_by("-timestamp").values_list("timestamp", flat=True)
    return next(iter(moments[LOOKED_THROUGH : LOOKED_THROUGH + 1]), None)


def _start(day: date, days: int = 0) -> datetime:
    return timezone.make_aware(datetime.combine(day + timedelta(days=days), time.min))


def _day(text: str) -> date | None:
    try:
        found = parse_date(text[:10])
    except ValueError:
        return None
    return found if found and found.year >= 1900 else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
