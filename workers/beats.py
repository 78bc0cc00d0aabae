"""Notes when each entry of the beat schedule ran and rings for what was missed, so that a stopped beat is seen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from backend.apps.core import beats, dispatch
from backend.apps.core.models import Heartbeat
from workers import deadman, schedules
from workers.runner import attempt

WAIT = timedelta(minutes=6)  # for the beat itself, or a run that goes on: longer than CELERY_TASK_TIME_LIMIT
SKEW = timedelta(minutes=1)  # by which the clock of a beat may be ahead of the database's

log = logging.getLogger(__name__)


@contextmanager
def beating(entry: str) -> Iterator[None]:
    """Run the body, then note that `entry` (a key of beat_schedule.SCHEDULE) ran, or that it failed.

    A run that failed leaves `due_by` as it was, so that an entry which only fails becomes late.
    """
    ran = False
    try:
        yield
        ran = True
    finally:
        if not ran:
            _note_failure(entry)
    _note(entry, last_run_at=Now(), runs=F("runs") + 1, failures=0, due_by=_due_by(entry))
    deadman.tell(entry)


def _note_failure(entry: str) -> None:
    """What failed may be the database, and then this fails too: what went wrong first is what is told."""
    _, error = attempt(lambda: _note(entry, failed_at=Now(), failures=F("failures") + 1))
    if error is not None:
        log.warning("the failure of %r could not be noted: %s", entry, type(error).__name__)


def _note(entry: str, **fields: Any) -> None:
    row = Heartbeat.objects.filter(entry=entry)
    if not row.update(**fields):
        Heartbeat.objects.bulk_create([_first(schedules.entry(entry), database_now())], ignore_conflicts=True)
        row.update(**fields)


def _due_by(entry: str) -> Any:
    """Return when the next run has to be noted, by the database's clock."""
    found = schedules.entry(entry)
    return Now() + found.patience if found.patience else found.due_by(database_now())


def register() -> int:
    """Let there be a row for each entry of the schedule and no other; return how many rows changed.

    One query where all is as it was. A new entry has missed nothing yet.
    """
    known = dict(Heartbeat.objects.values_list("entry", "task"))
    wanted = {one.name: one for one in schedules.entries()}
    if known == {name: one.task for name, one in wanted.items()}:
        return 0
    now = database_now()
    Heartbeat.objects.exclude(entry__in=wanted).delete()
    rows = [_first(one, now) for one in wanted.values() if known.get(one.name) != one.task]
    Heartbeat.objects.bulk_create(rows, update_conflicts=True, unique_fields=["entry"], update_fields=["task"])
    return len(rows) + len(known.keys() - wanted.keys())


def _first(one: schedules.Entry, now: datetime) -> Heartbeat:
    return Heartbeat(entry=one.name, task=one.task, due_by=one.due_by(now), caught_up_at=now)


def catch_up() -> int:
    """Ring once for each crontab entry whose last window passed without a run; return how many were rung for.

    Of several windows that passed only the last counts. Whoever notes it first rings, so two of these ring once; a bell
    that the broker does not take is not noted, and rung again the next time.
    """
    now = database_now()
    known = {row.entry: row for row in Heartbeat.objects.all()}
    return sum(_caught_up(one, known[one.name], now) for one in schedules.entries() if one.name in known)


def _caught_up(one: schedules.Entry, row: Heartbeat, now: datetime) -> bool:
    due = one.last_due(now - WAIT)
    if due is None or (row.last_run_at and row.last_run_at >= due - SKEW):
        return False
    with transaction.atomic():
        mine = Heartbeat.objects.filter(Q(caught_up_at=None) | Q(caught_up_at__lt=due), entry=one.name)
        rung = bool(mine.update(caught_up_at=Now())) and dispatch.send(one.task)
        transaction.set_rollback(not rung)
    return rung


def look() -> str:
    """Register what is new in the schedule, ring for what was missed, and tell who is late; safe to run at any time."""
    register()
    rung = catch_up()
    return f"rang for {rung}, {beats.tell_late()} late"


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found
