"""Works on leased rows by threads that only speak to partners; without it each message would wait for the last."""

from __future__ import annotations

import functools
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar, cast

from django.db import InterfaceError, OperationalError

from backend.apps.core import dispatch
from backend.apps.core.work import WorkItem, begin_all, release_all, settle_all
from integrations.errors import IntegrationError, Permanent
from workers import following
from workers.runner import (
    BUDGET_S,
    ENDS,
    LEASE_LOST,
    Again,
    HandlerBug,
    NotNeeded,
    attempt,
    ended,
    hold_after_bug,
    later,
    told,
    told_of,
    wait,
)
from workers.tallying import Tally

Item = TypeVar("Item", bound=WorkItem)

FLUSH_S, FLUSH_ROWS = 0.2, 50  # outcomes are written down at the latest then: a kill loses no more
WINDOW_S = 30.0  # from when we began a row until we speak: later it may be known by others to have ended
CHUNK = 128  # rows at least that are begun as one; a kill leaves these uncertain, and those being spoken for
SWITCH_S = 0.0005  # how long a thread that prepares lets one wait that has an answer
DATABASE_AWAY = (OperationalError, InterfaceError)  # or it chose us to end a deadlock
BUG_TRIES = 3  # of a row that cannot even be prepared: nothing was sent, and the same rarely helps


@dataclass(frozen=True, slots=True)
class Call:
    """What is left to do for a row: `speak` uses no database, speaks to one partner, and returns the fields to save.

    It may raise what a handler may (`runner.ENDS`).
    """

    speak: Callable[[], Mapping[str, Any]]


class LeaseLost(Exception):
    """The row was taken from us before we spoke; nothing is to be written."""


@dataclass(frozen=True, slots=True)
class End(Generic[Item]):
    """How one row ended: the fields to save with success, or an exception. spoke: the partner may have heard of it."""

    item: Item
    result: Mapping[str, Any] | Exception
    spoke: bool


Prepare = Callable[[Sequence[Item]], Sequence[Call | Exception | None]]
Settle = Callable[[Sequence[End[Item]]], Counter[str]]
Lease = Callable[[int], Sequence[Any]]


def drain_side_by_side(
    model: type[Item],
    prepare: Prepare[Item],
    *,
    limit: int,
    threads: int,
    lease: Lease | None = None,
    settle: Settle[Item] | None = None,
) -> str:
    """Work on due rows of `model` for at most `BUDGET_S`; ring again when there may be more. Return counts by outcome.

    limit: rows to lease at a time, and again before they are used up, for between two runs no thread would speak. A
    run in which rows go back in line or a partner fails leases no more: it would meet the same again.
    prepare: reads some begun rows again, decides late, and returns for each in order a `Call`, or the exception it ends
        by, or None where it ends with another one (`settle` sees to it). What must be on disk before anybody is spoken
        to, it writes. When it raises, each half is tried again, down to single rows.
    lease: takes the rows, by default any that are due. settle: writes ends down, by default as `drain` would.
    """
    tally = Tally(model.task_name)
    run = SideBySide(prepare, settle or settled, threads, tally)
    try:
        run.through(lease or model.work.lease, limit)
    finally:
        run.stop()
    if run.may_be_more:
        dispatch.send(model.task_name)
    tally.note(run.counts)
    if run.bugs:
        raise HandlerBug(f"{run.bugs[-1]} in {model.task_name}")
    return told(run.counts)


def settled(ends: Sequence[End[Item]], *, also: str = "") -> Counter[str]:
    """Write ends down: successes in one statement, the others one by one. also: see `settle_all`."""
    good = [(end.item, end.result) for end in ends if isinstance(end.result, Mapping)]
    kept = settle_all(good, also=also)
    counts = Counter({"done": len(kept), LEASE_LOST: len(good) - len(kept)})
    for end in ends:
        if isinstance(end.result, Exception):
            counts[end_badly(end, end.result)] += 1
    return counts


def end_badly(end: End[Item], error: Exception) -> str:
    """Write down how a row ended that did not succeed.

    A bug before anybody was spoken to is tried again twice, then the row has failed if it is the same: its text or
    template is wrong. That the database went away is no fault of the row: it waits. A bug after somebody was spoken to
    may stand on a message that arrived: the row is held.
    """
    item = end.item
    if isinstance(error, LeaseLost):
        return LEASE_LOST
    if isinstance(error, ENDS):
        return ended(item, error)
    name = told_of(error, item)
    if end.spoke:
        return hold_after_bug(item, name)
    if item.attempts >= BUG_TRIES and item.last_error == name and not isinstance(error, DATABASE_AWAY):
        return "failed" if item.give_up(name) else LEASE_LOST
    return later(item, name, wait(item.attempts))


def clocks() -> tuple[float, float]:
    """Return two clocks that go on while this process stands still; a machine that sleeps stops at most one of them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)), time.time()


def is_stale(since: tuple[float, float]) -> bool:
    return max(now - then for now, then in zip(clocks(), since, strict=True)) > WINDOW_S


@functools.cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Return this process's threads; they are kept, for each has an open connection to its partners.

    Each wants the interpreter a few times for an instant; by default whoever computes keeps it for 5 ms each time.
    """
    sys.setswitchinterval(SWITCH_S)
    return ThreadPoolExecutor(threads, thread_name_prefix="send")


class SideBySide(Generic[Item]):
    """One run over leased rows: begins as many as the threads will take up next, and writes ends down as they come.

    counts: rows by outcome. bugs: names of exceptions nobody expected. may_be_more: whether to ring again.
    """

    def __init__(self, prepare: Prepare[Item], settle: Settle[Item], threads: int, tally: Tally) -> None:
        self._tally = tally
        self.counts, self.bugs = Counter[str](), list[str]()
        self._prepare, self._settle, self._threads = prepare, settle, threads
        self._chunk, self._few, self._next = max(threads, CHUNK), 2 * threads, 2 * threads
        self.may_be_more, self._goes_on = True, True
        self._until = time.monotonic() + BUDGET_S
        self._heard: SimpleQueue[End[Item]] = SimpleQueue()
        self._speaking: dict[Any, Future[None]] = {}
        self._ends: list[End[Item]] = []
        self._flush_at = 0.0

    def through(self, lease: Lease, limit: int) -> None:
        waiting = deque(self._leased(lease, limit))
        while waiting or self._speaking:
            if waiting and time.monotonic() > self._until:
                self.counts["put back"] += release_all(list(waiting))
                self.may_be_more, self._goes_on = True, False
                waiting.clear()
            elif self._wants_more(waiting):
                waiting.extend(self._leased(lease, limit))
            elif waiting and len(self._speaking) <= self._few:  # none of them idles while we prepare
                self._begin([waiting.popleft() for _ in range(min(self._next, len(waiting)))])
                self._next = self._chunk  # the first ones are few: nobody speaks yet
            else:
                self._listen()
            self._write_down(FLUSH_ROWS)
        self._write_down(1)

    def _leased(self, lease: Lease, limit: int) -> list[Item]:
        rows = cast("list[Item]", list(lease(limit)))
        self.may_be_more = len(rows) >= limit
        self._tally.leased(rows)
        return rows

    def _wants_more(self, waiting: Sequence[Item]) -> bool:
        wanted = self._goes_on and self.may_be_more and len(waiting) < self._chunk
        return wanted and time.monotonic() < self._until

    def stop(self) -> None:
        """Let nobody speak who has not begun to; after a good run there is none."""
        for future in self._speaking.values():
            future.cancel()

    def _begin(self, chunk: list[Item]) -> None:
        since = clocks()
        ours = begin_all(chunk)
        self.counts[LEASE_LOST] += len(chunk) - len(ours)
        groups = [ours] if ours else []
        while groups:
            group = groups.pop()
            calls, bug = attempt(self._prepare, group)
            if bug is None:
                self._take_up(group, calls, since)
            elif len(group) == 1:
                self._end(End(group[0], bug, spoke=False))
            else:
                groups += [group[len(group) // 2 :], group[: len(group) // 2]]

    def _take_up(self, group: list[Item], calls: Sequence[Call | Exception | None], since: tuple[float, float]) -> None:
        for item, call in zip(group, calls, strict=True):
            if isinstance(call, Call):
                self._speaking[item.pk] = pool(self._threads).submit(self._speak, item, call, since)
            elif call is not None:
                self._end(End(item, call, spoke=False))

    def _speak(self, item: Item, call: Call, since: tuple[float, float]) -> None:
        """Runs in a thread. Who stood still too long says nothing: the row goes back in line if it is ours still."""
        if is_stale(since):
            self._heard.put(End(item, Again(), spoke=False))
            return
        result, error = attempt(call.speak)
        self._heard.put(End(item, result if error is None else error, spoke=True))

    def _listen(self) -> None:
        """Wait for the next end, or until it is time to write down those that are here; take all there are."""
        until_flush = max(self._flush_at - time.monotonic(), 0.0) if self._ends else None
        try:
            end = self._heard.get(timeout=until_flush)
            while True:
                del self._speaking[end.item.pk]
                self._end(end)
                end = self._heard.get_nowait()
        except Empty:
            return

    def _end(self, end: End[Item]) -> None:
        if not self._ends:
            self._flush_at = time.monotonic() + FLUSH_S
        if end.spoke and isinstance(end.result, Exception):
            self._flush_at = 0.0  # at once: it may say that nobody should go on
        self._goes_on = self._goes_on and isinstance(end.result, (Mapping, NotNeeded, Permanent))
        if isinstance(end.result, IntegrationError) or _is_bug(end.result):
            self._tally.failed(end.result)
        self._ends.append(end)

    def _write_down(self, enough: int) -> None:
        if not self._ends or (len(self._ends) < enough and time.monotonic() < self._flush_at):
            return
        ends, self._ends = self._ends, []
        self.bugs += [type(end.result).__name__ for end in ends if _is_bug(end.result)]
        self.counts.update(self._settle(ends))
        for end in ends:
            following.tell_of(end.item, end.result)


def _is_bug(result: Mapping[str, Any] | Exception) -> bool:
    return isinstance(result, Exception) and not isinstance(result, (*ENDS, LeaseLost))
