"""Tells which entries of the beat schedule are late; without it a beat that died would be seen by nobody."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models.functions import Now

from backend.apps.core import alerts
from backend.apps.core.models import Heartbeat

KIND = "beat_late"


def all_entries() -> list[Heartbeat]:
    """Return a row for each entry of the schedule, by name."""
    return list(Heartbeat.objects.order_by("entry"))


def late(now: datetime | None = None) -> list[Heartbeat]:
    """Return the entries whose run had to be noted before `now`, by default the database's."""
    return list(Heartbeat.objects.filter(due_by__lt=now or Now()).order_by("entry"))


def standing() -> str:
    """Return "ok", or in words which entries are late, or that no worker has seen the schedule yet."""
    if found := late():
        return f"late: {', '.join(row.entry for row in found)}"
    return "ok" if Heartbeat.objects.exists() else "late: no worker has seen the schedule yet"


def tell_late(*, spared: Collection[str] = ()) -> int:
    """Open an alert for each late entry, once, and clear those of entries that ran; return how many are late.

    spared: entries for which none is opened now; one that is open stays.
    """
    found, known = {_cause(row): row for row in late()}, alerts.open_causes(KIND)
    alerts.clear(*(known - found.keys()))
    for cause, row in found.items():
        if cause in known or row.entry not in spared:
            alerts.open_once(cause, kind=KIND, sentence=_sentence(row))
    return len(found)


def _cause(row: Heartbeat) -> str:
    return f"beat late:{row.entry}"


def _sentence(row: Heartbeat) -> str:
    ran = f"ran last at {row.last_run_at:%Y-%m-%d %H:%M} UTC" if row.last_run_at else "never ran"
    failed = f"; it failed {row.failures} times in a row" if row.failures else ""
    return f'"{row.entry}" of the beat schedule {ran} and should have run again by now{failed}.'
