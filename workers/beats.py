"""Notes when each entry of the beat schedule ran and rings for what was missed, so that a stopped beat is seen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from backend.apps.core import beats, dispatch
from backend.apps.core.models import Heartbeat
from backend.apps.core.statements import database_now
from backend.apps.core.work import work_models
from workers import deadman, schedules
from workers.runner import attempt

WAIT = timedelta(minutes=6)  # for the beat itself, or a run that goes on: longer than CELERY_TASK_TIME_LIMIT
SKEW = timedelta(minutes=1)  # by which the clock of a beat may be ahead of the database's
AGAIN = (timedelta(minutes=15), timedelta(hours=1))  # between two bells for one window: at least, at most
SPARED = timedelta(seconds=90)  # from its bell on an entry that only waited for the beat is not told of
SWEEP = "sweep overdue rows"  # the workers do it themselves, so its row says whether the beat lives

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
    """Ring for each entry that ought to have run and did not; return how many were rung for.

    Of several windows of a crontab that passed only the last counts; what comes by a period is rung for when late.
    Until it ran it is rung for again, the less often the longer that lasts, for a bell may be lost and a run may fail.
    Of two that look at once one rings; a bell that the broker does not take is not noted, and rung the next time.
    """
    now = database_now()
    known = {row.entry: row for row in Heartbeat.objects.all()}
    return sum(_caught_up(one, known[one.name], now) for one in schedules.entries() if one.name in known)


def _caught_up(one: schedules.Entry, row: Heartbeat, now: datetime) -> bool:
    missed = _missed(one, row, now)
    if missed is None or not _is_to_ring(missed, row.caught_up_at, now, period=one.every):
        return False
    with transaction.atomic():
        mine = Heartbeat.objects.filter(entry=one.name, caught_up_at=row.caught_up_at)
        rung = bool(mine.update(caught_up_at=Now())) and dispatch.send(one.task)
        transaction.set_rollback(not rung)
    return rung


def _missed(one: schedules.Entry, row: Heartbeat, now: datetime) -> datetime | None:
    """Return since when it ought to have run; None: it did, it may yet, or it is done without a bell."""
    if one.every:
        return row.due_by if row.due_by and row.due_by < now and one.name != SWEEP else None
    due = one.last_due(now - WAIT)
    return None if due is None or (row.last_run_at and row.last_run_at >= due - SKEW) else due


def _is_to_ring(missed: datetime, rung: datetime | None, now: datetime, *, period: timedelta | None) -> bool:
    """Whether nobody rang since it was missed, or did as long ago as it then had been missed."""
    if rung is None or rung < missed:
        return True
    least, most = AGAIN
    return rung + max(min(rung - missed, most), least, period or least) <= now


def look() -> str:
    """Register what is new in the schedule, ring for what was missed, and tell who is late; safe to run at any time."""
    register()
    rung = catch_up()
    return f"rang for {rung}, {beats.tell_late(spared=_spared())} late"


def _spared() -> set[str]:
    """Return the entries that were rung for just now and may run yet; one that failed is none of them."""
    just = Heartbeat.objects.filter(failures=0, caught_up_at__gt=F("due_by"))
    return set(just.filter(caught_up_at__gt=Now() - SPARED).values_list("entry", flat=True))


def ring_overdue() -> str:
    """Ring once for each kind of work that has a row to look at; ringing twice wakes a worker in vain, no more."""
    late = [model for model in work_models() if model.work.overdue().exists()]
    rang = sum(dispatch.send(model.task_name) for model in late)
    return f"rang for {rang} of {len(late)}"
