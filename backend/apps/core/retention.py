"""Removes the rows of a class that are older than its rule keeps them; else old data would go by somebody's script.

What the classes are stands above, where all models are known (`interop.retention_classes`). All moments are the
database's: a process whose clock is wrong removes nothing early.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from backend.apps.core import audit, row_tally
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import RetentionRule, RetentionRun

CHUNK = 2_000  # rows in one transaction: a second at most
NONE = Q()  # no further condition
Progress = Callable[[int, int], None]  # rows removed so far, of how many


class HoldsStill(DomainError):
    """The rule does not let the machine remove, or nobody has looked yet at what it would."""

    code = "rule_holds"


@dataclass(frozen=True, slots=True)
class Step:
    """One table of a class: of it go the rows that are `over` and whose `age` lies before the cutoff, the oldest first.

    age: a path to a moment. over: what must hold besides, so that nothing goes that is in line or open. free: what must
    hold when it goes, so that a row stays while another one needs it. along: what goes with a row in the same
    transaction, in this order, each with its path to the row. counted: whether it is of these rows that a run tells.
    """

    model: type[models.Model]
    age: str
    over: Q = NONE
    free: Q = NONE
    along: tuple[tuple[type[models.Model], str], ...] = ()
    counted: bool = True
    chunk: int = CHUNK

    def due(self, cutoff: datetime) -> models.QuerySet[Any]:
        """Return the rows that are too old, soft-deleted ones too."""
        return models.QuerySet(self.model).filter(self.over, **{f"{self.age}__lt": cutoff})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClass:
    """One kind of data as the retention table tells of it.

    covers: labels of models ("core.Alert"), or of an app for all of its models that no other class names. The rows go
    by a rule of `keep_days`, never under `floor_days`, which is `law`; or, with `expires_after`, that long after their
    age without a rule, for they are of no use then; or, with `kept`, never by a machine, and that says why.
    steps: in the order in which the rows go.
    """

    name: str
    title: str
    sentence: str
    covers: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    keep_days: int = 0
    floor_days: int = 0
    law: str = ""
    expires_after: timedelta | None = None
    kept: str = ""

    @property
    def has_rule(self) -> bool:
        return not self.kept and self.expires_after is None

    def floor_of(self, rule: RetentionRule) -> int:
        """Return how many days nothing is removed whatever the rule says, should its row have been tampered with."""
        return max(self.floor_days, rule.legal_floor_days)


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found


def cutoff_of(of: DataClass, rule: RetentionRule, now: datetime) -> datetime:
    """Return the moment before which the rows of a class are too old."""
    return now - timedelta(days=max(rule.keep_days, of.floor_of(rule)))


def count(of: DataClass, cutoff: datetime) -> int:
    """Return how many rows would go; reads only, and locks nothing."""
    return sum(step.due(cutoff).count() for step in of.steps if step.counted)


def look(of: DataClass, rule: RetentionRule, *, by: Any) -> RetentionRun:
    """Count what the rule, a row, would remove, remove nothing, and note that it was looked at as it was before."""
    now = database_now()
    rule.refresh_from_db()
    cutoff = cutoff_of(of, rule, now)
    run = RetentionRun(data_class=of.name, is_dry=True, cutoff=cutoff, found=count(of, cutoff), by=by)
    with transaction.atomic():
        run.save()
        RetentionRun.objects.filter(pk=run.pk).update(ended_at=Now())
        RetentionRule.objects.filter(pk=rule.pk).update(looked_at=now)
    rule.refresh_from_db()
    run.refresh_from_db()
    return run


def was_looked_at(rule: RetentionRule) -> bool:
    """Return whether somebody has seen what the rule as it is now would remove."""
    return rule.looked_at is not None and rule.looked_at >= rule.changed_at


def purge(
    of: DataClass, rule: RetentionRule, *, by: Any, deadline: float, progress: Progress | None = None
) -> RetentionRun:
    """Remove what is too old, chunk by chunk, each committed with what the run says so far, until `deadline`.

    deadline: of `time.monotonic`; what is left goes with the next run, as what a run leaves that dies in the middle.
    Safe to run twice and beside itself: the chunks of one class go one after the other.

    Raises:
        HoldsStill: the rule is not active, or was not looked at since it was changed.
    """
    rule.refresh_from_db()
    if not rule.is_active:
        raise HoldsStill("This rule is not active, so nothing is removed.")
    if not was_looked_at(rule):
        raise HoldsStill("Make a dry run first: nobody has seen yet what this rule would remove.")
    cutoff = cutoff_of(of, rule, database_now())
    run = RetentionRun.objects.create(data_class=of.name, is_dry=False, cutoff=cutoff, found=count(of, cutoff), by=by)
    for step in of.steps:
        remove(
            step, cutoff, deadline=deadline, may=partial(_still_holds, rule), note=partial(_note, run, step, progress)
        )
    with transaction.atomic():
        RetentionRun.objects.filter(pk=run.pk).update(ended_at=Now())
        run.refresh_from_db()
        audit.record(None, "purge", "retentionrun", str(run.pk), detail={"class": of.name, "removed": run.removed})
    return run


def _still_holds(rule: RetentionRule) -> bool:
    """Return whether the rule is as it was when the run began; who changes it waits for the chunk, and ends the run."""
    mine = RetentionRule.objects.filter(pk=rule.pk, is_active=True, changed_at=rule.changed_at)
    return bool(mine.select_for_update().values_list("pk", flat=True))


def _note(run: RetentionRun, step: Step, progress: Progress | None, gone: int) -> None:
    if gone and step.counted:
        RetentionRun.objects.filter(pk=run.pk).update(removed=F("removed") + gone, updated_at=Now())
        run.removed += gone
    if progress:
        progress(run.removed, run.found)


def expire(of: DataClass, *, deadline: float) -> int:
    """Remove what has expired, without a rule; return how many rows went. Safe to run twice."""
    cutoff = database_now() - (of.expires_after or timedelta())
    return sum(remove(step, cutoff, deadline=deadline) for step in of.steps)


def always() -> bool:
    return True


def unnoted(_gone: int) -> None:
    """Tell nobody how many rows went."""


def remove(
    step: Step,
    cutoff: datetime,
    *,
    deadline: float,
    may: Callable[[], bool] = always,
    note: Callable[[int], None] = unnoted,
) -> int:
    """Remove the rows of one step until none is due or the time is over; return how many went.

    may and note are called in the transaction of each chunk, before and after. Rows that somebody holds are left.
    """
    removed, gone = 0, 1
    while gone and time.monotonic() < deadline:
        with transaction.atomic():
            gone = _remove_some(step, cutoff) if may() else 0
            note(gone)
        removed += gone
    return removed


def _remove_some(step: Step, cutoff: datetime) -> int:
    """Remove the oldest rows, counted out of the tally of what was written, and return how many they were."""
    oldest = step.due(cutoff).filter(step.free).order_by(step.age)
    keys = list(oldest.select_for_update(of=("self",), skip_locked=True).values_list("pk", flat=True)[: step.chunk])
    for model, path in step.along:
        models.QuerySet(model).filter(**{f"{path}__in": keys}).delete()
    row_tally.taken_out(step.model, keys)
    models.QuerySet(step.model).filter(pk__in=keys).delete()  # not the soft deletion of our own querysets
    return len(keys)
