"""Removes the rows of a class that are older than its rule keeps them; else old data would go by somebody's script.

What the classes are stands above, where all models are known (`interop.retention_classes`). All moments are the
database's: a process whose clock is wrong removes nothing early.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core import alerts, audit, row_tally
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import RetentionRule, RetentionRun
from backend.apps.core.statements import database_now

WAITS = "retention_waits"  # kind of the alert that an active rule was changed and nobody looked at it since
CHUNK = 2_000  # rows in one transaction: a second at most
AT_WORK = timedelta(minutes=10)  # since a run last told: a chunk and a count take less
APART = timedelta(hours=1)  # by which the clocks of the database and of this machine may differ
NONE = Q()  # no further condition
Progress = Callable[[int, int], None]  # rows removed so far, of how many
Pointers = tuple[tuple[type[models.Model], str], ...]  # models, each with its path to a row


class HoldsStill(DomainError):
    """The rule does not let the machine remove, or nobody has looked yet at what it would."""

    code = "rule_holds"


class ClocksDiffer(DomainError):
    """The database and this machine do not agree on the time, so nobody knows what is old."""

    code = "clocks_differ"


@dataclass(frozen=True, slots=True)
class Step:
    """One table of a class: of it go the rows that are `over` and whose `age` lies before the cutoff, the oldest first.

    age: a moment of the row. ages: others that lie before the cutoff too, where it has them. over: what must hold
    besides, so that nothing goes that is in line or open. needed_by: whose rows keep a row for as long as they point to
    it, and along: what goes with a row in the same transaction, in this order; each with its path to the row.
    """

    model: type[models.Model]
    age: str
    over: Q = NONE
    ages: tuple[str, ...] = ()
    needed_by: Pointers = ()
    along: Pointers = ()
    chunk: int = CHUNK

    def due(self, cutoff: datetime) -> models.QuerySet[Any]:
        """Return the rows that are too old, soft-deleted ones too."""
        others = [Q(**{f"{age}__isnull": True}) | Q(**{f"{age}__lt": cutoff}) for age in self.ages]
        return models.QuerySet(self.model).filter(self.over, *others, **{f"{self.age}__lt": cutoff})

    def free(self, cutoff: datetime) -> models.QuerySet[Any]:
        """Return those of them that no other row needs any more."""
        pointing: Iterable[models.QuerySet[Any]] = (
            models.QuerySet(model).filter(**{path: OuterRef("pk")}) for model, path in self.needed_by
        )
        return self.due(cutoff).filter(*(~Exists(rows) for rows in pointing))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClass:
    """One kind of data as the retention table tells of it.

    covers: labels of models ("core.Alert"). The rows go by a rule of `keep_days`, never under `floor_days`, which is
    `law`; or, with `expires_after`, that long after their age without a rule, for they are of no use then, but not
    while a person holds the rule of `held_with`; or, with `kept`, never by a machine, and that says why. steps: in the
    order in which the rows go.
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
    held_with: str = ""
    kept: str = ""

    @property
    def has_rule(self) -> bool:
        return not self.kept and self.expires_after is None

    def floor_of(self, rule: RetentionRule) -> int:
        """Return how many days nothing is removed whatever the rule says, should its row have been tampered with."""
        return max(self.floor_days, rule.legal_floor_days)


def agreed_now() -> datetime:
    """Return the database's moment.

    Raises:
        ClocksDiffer: the clock of this machine says something else; one of the two would make young rows old.
    """
    now = database_now()
    if abs(now - timezone.now()) > APART:
        raise ClocksDiffer("The clocks of the database and of this machine differ by hours, so nothing is removed.")
    return now


def cutoff_of(of: DataClass, rule: RetentionRule, now: datetime) -> datetime:
    """Return the moment before which the rows of a class are too old."""
    return now - timedelta(days=max(rule.keep_days, of.floor_of(rule)))


def count(of: DataClass, cutoff: datetime) -> dict[str, int]:
    """Return how many rows would go by label of their model; reads only, and locks nothing."""
    return {step.model._meta.label: _going(of, step, cutoff).count() for step in of.steps}


def _going(of: DataClass, step: Step, cutoff: datetime) -> models.QuerySet[Any]:
    """Return the rows of a step that are too old and that no row needs which stays itself."""
    going = step.due(cutoff)
    for model, path in step.needed_by:
        staying: models.QuerySet[Any] = models.QuerySet(model).filter(**{path: OuterRef("pk")})
        for other in of.steps:
            if other.model is model:
                staying = staying.filter(~Exists(other.due(cutoff).filter(pk=OuterRef("pk"))))
        going = going.filter(~Exists(staying))
    return going


def _found(of: DataClass, cutoff: datetime) -> dict[str, Any]:
    """Return what a run tells of the rows that are too old."""
    found = count(of, cutoff)
    return {"found": sum(found.values()), "found_in": {label: many for label, many in found.items() if many}}


def look(of: DataClass, rule: RetentionRule, *, by: Any) -> RetentionRun:
    """Count for a person what the rule, a row, would remove, remove nothing, and note that it was looked at.

    Raises:
        Conflict: somebody changed the rule meanwhile, so that it was not seen as it is.
    """
    now = database_now()
    rule.refresh_from_db()
    cutoff = cutoff_of(of, rule, now)
    run = RetentionRun(data_class=of.name, is_dry=True, cutoff=cutoff, **_found(of, cutoff), by=by)
    with transaction.atomic():
        run.save()
        RetentionRun.objects.filter(pk=run.pk).update(ended_at=Now())
        if not RetentionRule.objects.filter(pk=rule.pk, changed_at=rule.changed_at).update(looked_at=now):
            raise Conflict("Somebody changed this rule meanwhile. Make the dry run again.")
        alerts.clear(waiting_cause(of.name))
    rule.refresh_from_db()
    run.refresh_from_db()
    return run


def was_looked_at(rule: RetentionRule) -> bool:
    """Return whether a person has seen what the rule as it is now would remove."""
    return rule.looked_at is not None and rule.looked_at >= rule.changed_at


def waiting_cause(name: str) -> str:
    """Return the cause of the alert that an active rule was changed and nobody has looked at it since."""
    return f"retention waits:{name}"


def purge(
    of: DataClass,
    rule: RetentionRule,
    *,
    by: Any,
    deadline: float,
    asked: str = "beat",
    progress: Progress | None = None,
) -> RetentionRun:
    """Remove what is too old, chunk by chunk, each committed with what the run says so far, until `deadline`.

    asked: whence, as the audit log tells ("beat", "command"). deadline: of `time.monotonic`; what is left goes with the
    next run, as what a run leaves that dies in the middle.
    Safe to run twice and beside itself: the chunks of one class go one after the other.

    Raises:
        HoldsStill: the rule is not active, or was not looked at since it was changed.
        ClocksDiffer: see there.
    """
    rule.refresh_from_db()
    if not rule.is_active:
        raise HoldsStill("This rule is not active, so nothing is removed.")
    if not was_looked_at(rule):
        raise HoldsStill("Make a dry run first: nobody has seen yet what this rule would remove.")
    cutoff = cutoff_of(of, rule, agreed_now())
    run = _begin(of, cutoff, by=by, asked=asked)
    RetentionRun.objects.filter(pk=run.pk).update(**_found(of, cutoff), updated_at=Now())
    run.refresh_from_db()
    for step in of.steps:
        remove(step, cutoff, deadline=deadline, may=partial(_still_holds, rule), note=partial(_note, run, progress))
    _end(run, Now(), asked=asked)
    return run


@transaction.atomic
def _begin(of: DataClass, cutoff: datetime, *, by: Any, asked: str) -> RetentionRun:
    """Write down that a purge begins, before the first row goes, and end the runs of the class that died."""
    runs = RetentionRun.objects.filter(data_class=of.name, is_dry=False, ended_at=None)
    for dead in runs.filter(updated_at__lt=Now() - AT_WORK).select_for_update(skip_locked=True, of=("self",)):
        _end(dead, F("updated_at"), broken_off=True)
    run = RetentionRun.objects.create(data_class=of.name, is_dry=False, cutoff=cutoff, by=by)
    detail = {"class": of.name, "asked": asked}
    audit.record(None, "purge.begin", "retentionrun", str(run.pk), detail=detail, user=by)
    return run


@transaction.atomic
def _end(run: RetentionRun, at: Any, **told: Any) -> None:
    RetentionRun.objects.filter(pk=run.pk).update(ended_at=at)
    run.refresh_from_db()
    detail = {"class": run.data_class, "removed": run.removed, **told}
    audit.record(None, "purge", "retentionrun", str(run.pk), detail=detail, user=run.by)


def is_at_work(run: RetentionRun) -> bool:
    """Return whether a purge has not ended and told of itself a moment ago; one that has not is broken off."""
    return run.ended_at is None and run.updated_at > timezone.now() - AT_WORK


def _still_holds(rule: RetentionRule) -> bool:
    """Return whether the rule is as it was when the run began; who changes it waits for the chunk, and ends the run."""
    mine = RetentionRule.objects.filter(pk=rule.pk, is_active=True, changed_at=rule.changed_at)
    return bool(mine.select_for_update().values_list("pk", flat=True))


def _note(run: RetentionRun, progress: Progress | None, gone: int) -> None:
    if gone:
        RetentionRun.objects.filter(pk=run.pk).update(removed=F("removed") + gone, updated_at=Now())
        run.removed += gone
    if progress:
        progress(run.removed, run.found)


def expire(of: DataClass, *, deadline: float) -> int:
    """Remove what has expired, without a rule, until a person holds that of `held_with`; return how many rows went.

    Safe to run twice.

    Raises:
        ClocksDiffer: see there.
    """
    cutoff = agreed_now() - (of.expires_after or timedelta())
    may = partial(_is_not_held, of.held_with) if of.held_with else always
    return sum(remove(step, cutoff, deadline=deadline, may=may) for step in of.steps)


def _is_not_held(name: str) -> bool:
    """Return whether nobody holds the rule of a class; who does waits for the chunk, and ends what is at work."""
    return not any(rule.is_held for rule in RetentionRule.objects.filter(data_class=name).select_for_update())


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
    oldest = step.free(cutoff).order_by(step.age)
    keys = list(oldest.select_for_update(of=("self",), skip_locked=True).values_list("pk", flat=True)[: step.chunk])
    for model, path in step.along:
        models.QuerySet(model).filter(**{f"{path}__in": keys}).delete()
    row_tally.taken_out(step.model, keys)
    models.QuerySet(step.model).filter(pk__in=keys).delete()  # not the soft deletion of our own querysets
    return len(keys)
