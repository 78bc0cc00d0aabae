"""Lease a batch of rows, handle each outside any transaction, write down what happened. The only broad `except`."""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, TypeVar, cast

from django.db import transaction

from backend.apps.core import dispatch
from backend.apps.core.work import WorkItem, backoff, finish_all, settle_all
from backend.config import tracing
from integrations.errors import IntegrationError, Permanent, Transient, Unknown
from workers import following
from workers.tallying import Tally

Item = TypeVar("Item", bound=WorkItem)
Handler = Callable[[Item], Mapping[str, Any] | None]
TogetherHandler = Callable[[Sequence[Item]], Sequence[Mapping[str, Any]]]

BATCH = 100
TOGETHER = 200  # rows of one `drain_together`
# What is not begun by then goes back in line. The longest that follows has to end before CELERY_TASK_SOFT_TIME_LIMIT
# (240): 30 s until it is spoken for, and a mail server's 160: `smtp.PATIENCE_S`, two steps of it, `smtp.LAST_WORD_S`.
BUDGET_S = 40.0

LEASE_LOST = "lease lost"

log = logging.getLogger(__name__)


class HandlerBug(Exception):
    """A handler raised something it must not; names the kind only, for its text may hold a patient's data."""


class NotNeeded(Exception):
    """The handler decided late that nothing has to be done; `changes` are saved with the row.

    The reason is a sentence without a patient's data.
    """

    def __init__(self, reason: str, **changes: Any) -> None:
        super().__init__(reason)
        self.changes = changes


class Again(Exception):
    """The handler did a part and saved how far it is: the row goes back in line at once, the attempt not counted."""


ENDS = (NotNeeded, Again, Permanent, Unknown, Transient)  # how a row ends that did not succeed; all else is a bug


def drain(model: type[Item], handle: Handler[Item], *, batch: int = BATCH, bulk: bool = False, only: str = "") -> str:
    """Work on up to `batch` due rows of `model`; ring again when there may be more. Return counts by outcome.

    handle: reads again, decides late, speaks to at most one partner, returns the fields to save with success, or None
        when it wrote its outcome under the fence itself, in the transaction of what belongs to it. It may raise
        Transient, Permanent, Unknown or NotNeeded. Any other exception is a bug: the row is tried again later and
        the exception goes on to Celery after the batch, so that Flower and the log show it.
    bulk: the handler returns no fields, speaks to nobody and is `replay_safe`; successes are written in one statement.
    only: what else must hold of the rows, in SQL of our own names only.
    """
    tally = Tally(model.task_name)
    items = cast("list[Item]", model.work.lease(batch, only))
    tally.leased(items)
    until, counts, done = time.monotonic() + BUDGET_S, Counter[str](), list[Item]()
    bug: Exception | None = None
    for item in items:
        if time.monotonic() > until:
            counts["released"] += item.release()
            continue
        with nullcontext() if bulk else following.about(item):
            outcome, error = _guarded(item, handle, done if bulk else None, tally)
            if error is not None:
                outcome, bug = _after_bug(item, error, tally), error
            if not bulk:
                following.tell(outcome)
        counts[outcome] += 1
    lost = len(done) - finish_all(done)
    counts.update({"done": -lost, LEASE_LOST: lost})
    if len(items) == batch or counts["released"]:
        dispatch.send(model.task_name)
    tally.note(counts)
    if bug is not None:
        raise HandlerBug(f"{type(bug).__name__} in {model.task_name}")
    return told(counts)


def drain_together(model: type[Item], handle_all: TogetherHandler[Item], *, batch: int = TOGETHER) -> str:
    """Work on up to `batch` due rows of `model` as one; ring for the next batch first. Return counts by outcome.

    handle_all: takes some of the leased rows and returns the fields to save with success, a mapping for each of them in
        order. It speaks to nobody, and all it writes is one transaction of its own or safe to write again: when it
        raises, it is called again with each half, down to single rows, which then end as in `drain`. So a row that
        cannot be handled costs only itself.
    """
    if not model.replay_safe:
        raise TypeError(f"{model.__name__} cannot be handled together: handling it twice is not safe")
    tally = Tally(model.task_name)
    items = cast("list[Item]", model.work.lease(batch))
    tally.leased(items)
    if len(items) == batch:
        dispatch.send(model.task_name)  # another worker may begin at once
    until, counts, bugs = time.monotonic() + BUDGET_S, Counter[str](), list[Exception]()
    groups = [items] if items else []
    while groups:
        group = groups.pop()
        if time.monotonic() > until:
            counts["released"] += sum(item.release() for item in group)
        elif len(group) == 1:
            counts[_alone(group[0], handle_all, bugs, tally)] += 1
        elif not (done := _together(group, handle_all)):
            middle = len(group) // 2
            groups += [group[middle:], group[:middle]]
        else:
            counts.update(done)
    if counts["released"]:
        dispatch.send(model.task_name)
    tally.note(counts)
    if bugs:
        raise HandlerBug(f"{type(bugs[-1]).__name__} in {model.task_name}")
    return told(counts)


def _together(group: list[Item], handle_all: TogetherHandler[Item]) -> Counter[str] | None:
    """Handle several rows as one and write their outcomes down in one statement; None when that did not work.

    What went wrong is told in full when the row that caused it is handled alone.
    """
    settled, error = attempt(_settled_together, group, handle_all)
    if error is not None:  # handled again in halves, down to single rows, where it is raised
        log.warning("%s: %s in a group of %d; trying halves", group[0].task_name, type(error).__name__, len(group))
        return None
    return Counter({"done": settled, LEASE_LOST: len(group) - settled})


def _settled_together(group: list[Item], handle_all: TogetherHandler[Item]) -> int:
    outcomes = list(zip(group, handle_all(group), strict=True))
    with transaction.atomic():
        return len(settle_all(outcomes))


def _alone(item: Item, handle_all: TogetherHandler[Item], bugs: list[Exception], tally: Tally) -> str:
    with following.about(item):
        outcome, bug = _guarded(item, lambda one: handle_all([one])[0], None, tally)
        if bug is not None:
            outcome = _after_bug(item, bug, tally)
            bugs.append(bug)
        following.tell(outcome)
    return outcome


def told(counts: Counter[str]) -> str:
    tracing.counted(counts)
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()) if count) or "nothing due"


def attempt(job: Callable[..., Any], *given: Any) -> tuple[Any, Exception | None]:
    """Return what the job returns, or what it raised: a bug and a refusal alike."""
    try:
        return job(*given), None
    except Exception as error:  # the one broad except; who called says what it means, or raises again after the batch
        return None, error


def _guarded(item: Item, handle: Handler[Item], done: list[Item] | None, tally: Tally) -> tuple[str, Exception | None]:
    """Return the outcome, or the exception that is a bug.

    The bug is dealt with outside the `except`: when the database is away that fails too, the lease stays until it
    expires, and an exception raised in here would carry the text of the first one along.
    """
    outcome, bug = attempt(_handle, item, handle, done, tally)
    return outcome or "", bug


def _handle(item: Item, handle: Handler[Item], done: list[Item] | None, tally: Tally) -> str:
    """Run the handler on one leased row and write its outcome under the fence; return the outcome's name."""
    if not item.replay_safe and not item.begin():
        return LEASE_LOST
    try:
        changes = handle(item)
    except ENDS as error:
        if isinstance(error, IntegrationError):
            tally.failed(error)
        return ended(item, error)
    if changes is None:
        return "done"
    if done is not None:
        done.append(item)
        return "done"
    following.answered(changes)
    return _named("done", item.finish(**changes))


def ended(item: WorkItem, error: Exception) -> str:
    """Write under the fence how a row ended that did not succeed, by one of ENDS; return the outcome's name."""
    if isinstance(error, NotNeeded):
        return _named("not needed", item.finish(**error.changes))
    if isinstance(error, Again):
        return _named("released", item.release())
    if isinstance(error, Permanent):
        return _named("failed", item.give_up(str(error)))
    if isinstance(error, Unknown):
        return _named("held", item.hold(str(error)))
    return later(item, str(error), wait(item.attempts, error))


def told_of(bug: Exception, item: WorkItem) -> str:
    return told_where(bug, f"{type(item).__name__} {item.pk}")


def told_where(bug: Exception, what: str) -> str:
    """Log where a bug is, under its type only, for its text may hold a patient's data; return the type's name.

    what: of which row, without a patient's data.
    """
    where = "".join(traceback.format_tb(bug.__traceback__))
    log.error("%s: %s in its handler\n%s", what, type(bug).__name__, where)
    return type(bug).__name__


def _after_bug(item: WorkItem, error: Exception, tally: Tally) -> str:
    """Put the row back in line under the exception's type only."""
    tally.failed(error)
    name = told_of(error, item)
    if item.replay_safe:
        return later(item, name, wait(item.attempts))
    return hold_after_bug(item, name)


def hold_after_bug(item: WorkItem, name: str) -> str:
    return _named("held", item.hold(f"{name} after the send may have begun"))


def later(item: WorkItem, error: str, after: timedelta) -> str:
    """Put a row back in line, or give it up when its attempts are used up; return the outcome's name."""
    outcome = "failed" if item.attempts >= item.max_attempts else "waiting"
    return _named(outcome, item.retry_later(error, after))


def _named(outcome: str, ours: bool) -> str:
    return outcome if ours else LEASE_LOST


def wait(attempts: int, error: Exception | None = None) -> timedelta:
    """Return the time to wait after attempt number `attempts`: the partner's Retry-After, else backoff; plus jitter."""
    asked = getattr(error, "retry_after_s", None)
    base = timedelta(seconds=asked) if asked else backoff(attempts)
    return base * random.uniform(1.0, 1.25)  # noqa: S311  # jitter, not a secret
