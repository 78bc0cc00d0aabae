"""Holds the run over many rows at once: no thread idles, ends are on disk soon, and a bad row costs only itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from integrations.errors import Permanent, Transient, Unknown
from tests.workers.rows import CANARY, HOUR, reminders, run_out, stored
from workers import side_by_side
from workers.runner import Again, HandlerBug, NotNeeded
from workers.side_by_side import BUG_TRIES, Call, drain_side_by_side

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]
SENT = {"status": "sent", "sent_at": timezone.now()}


def is_sent(row: Any) -> dict[str, Any]:
    return SENT


def sends(what: Callable[[Any], Any] = is_sent) -> Callable[[Sequence[Any]], list[Any]]:
    """Return a preparation whose calls do `what` with their row."""
    return lambda rows: [Call(lambda row=row: what(row)) for row in rows]


def drain(prepare: Any, **over: Any) -> str:
    return drain_side_by_side(AppointmentReminder, prepare, **{"limit": 100, "threads": 4, **over})


def test_calls_run_at_once_and_never_see_the_database() -> None:
    barrier, mine = threading.Barrier(4), threading.get_ident()
    reminders(4)

    def speak(row: Any) -> dict[str, Any]:
        barrier.wait(20)  # four are here at the same time, or this breaks
        assert threading.get_ident() != mine
        return SENT

    assert drain(sends(speak)) == "4 done"


def test_every_end_of_a_call_is_written_down() -> None:
    ends: list[Any] = [
        SENT, Permanent("p", code="x:1"), Unknown("u", code="x:2"), Transient("t", code="x:3"),
        NotNeeded("n", status="suppressed"), Again(),
    ]  # fmt: skip
    rows = reminders(len(ends))
    by_key = dict(zip([row.pk for row in rows], ends, strict=True))

    def speak(row: Any) -> dict[str, Any]:
        end = by_key[row.pk]
        if isinstance(end, Exception):
            raise end
        return dict(end)

    assert drain(sends(speak)) == "1 done, 1 failed, 1 held, 1 not needed, 1 released, 1 waiting"
    states = ["done", "failed", "held", "waiting", "done", "waiting"]
    assert [stored(row).work_state for row in rows] == states
    assert stored(rows[5]).attempts == 0


def test_a_bug_in_a_call_holds_its_row_and_tells_its_type_only(caplog: pytest.LogCaptureFixture) -> None:
    rows = reminders(3)

    def speak(row: Any) -> dict[str, Any]:
        if row.pk == rows[1].pk:
            raise KeyError(CANARY)
        return SENT

    with pytest.raises(HandlerBug, match=r"^KeyError in reminders\.deliver$"):
        drain(sends(speak))
    assert [stored(row).work_state for row in rows] == ["done", "held", "done"]
    assert CANARY not in caplog.text + stored(rows[1]).last_error


def test_a_row_that_cannot_be_prepared_costs_only_itself_and_fails_the_third_time() -> None:
    rows = reminders(5)

    def prepare(some: Sequence[Any]) -> list[Any]:
        if rows[3].pk in {row.pk for row in some}:
            raise ZeroDivisionError
        return sends()(some)

    for state in ("waiting", "waiting", "failed"):
        with pytest.raises(HandlerBug, match="ZeroDivisionError"):
            drain(prepare)
        assert stored(rows[3]).work_state == state
        AppointmentReminder.objects.filter(pk=rows[3].pk).update(due_at=timezone.now() - HOUR)
    assert [stored(row).work_state for row in rows] == ["done", "done", "done", "failed", "done"]


@pytest.mark.parametrize(
    ("bug", "states"), [(OperationalError, ("waiting", "waiting")), (KeyError, ("waiting", "failed"))]
)
def test_only_a_bug_of_its_own_that_comes_again_fails_a_row_whose_tries_a_partner_used_up(
    bug: type[Exception], states: tuple[str, str]
) -> None:
    (row,) = reminders(1, attempts=BUG_TRIES, last_error="the provider was busy")

    def prepare(some: Sequence[Any]) -> list[Any]:
        raise bug

    for state in states:
        with pytest.raises(HandlerBug):
            drain(prepare)
        assert stored(row).work_state == state
        AppointmentReminder.objects.filter(pk=row.pk).update(due_at=timezone.now() - HOUR)


def test_who_lost_the_lease_before_it_began_is_not_prepared() -> None:
    rows = reminders(2)
    prepared: list[Any] = []

    def lease(limit: int) -> Sequence[Any]:
        leased = AppointmentReminder.work.lease(limit)
        run_out(rows[0])
        return leased

    def prepare(some: Sequence[Any]) -> list[Any]:
        prepared.extend(row.pk for row in some)
        return sends()(some)

    assert drain(prepare, lease=lease) == "1 done, 1 lease lost"
    assert prepared == [rows[1].pk]


def test_ends_are_on_disk_while_others_still_speak() -> None:
    rows, seen = reminders(3), list[list[str]]()
    slow = threading.Event()

    def speak(row: Any) -> dict[str, Any]:
        if row.pk == rows[0].pk:
            slow.wait(20)
        return SENT

    def settle(ends: Sequence[Any]) -> Any:
        counts = side_by_side.settled(ends)
        seen.append([stored(row).work_state for row in rows])
        if seen[-1][1:] == ["done", "done"]:  # they may be written down together or one after the other
            slow.set()
        return counts

    assert drain(sends(speak), settle=settle) == "3 done"
    assert ["running", "done", "done"] in seen


def test_no_more_is_begun_than_the_threads_take_up_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "CHUNK", 1)
    monkeypatch.setattr(side_by_side, "FLUSH_ROWS", 1)  # what has ended is not counted as begun
    reminders(20)
    begun: list[int] = []
    lock, spoke = threading.Lock(), [0]

    def speak(row: Any) -> dict[str, Any]:
        with lock:
            spoke[0] += 1
        return SENT

    def prepare(some: Sequence[Any]) -> list[Any]:
        held = AppointmentReminder.objects.filter(work_state="running", begun_at__isnull=False).count()
        begun.append(held)
        return sends(speak)(some)

    drain(prepare, threads=2)
    assert spoke == [20]
    assert max(begun) <= 2 * 2 + 2  # what twice the threads have to do, and one more chunk


def test_when_the_run_ends_early_nobody_speaks_who_had_not_begun_to() -> None:
    rows, go_on, spoke = reminders(8), threading.Event(), list[Any]()

    def speak(row: Any) -> dict[str, Any]:
        spoke.append(row.pk)
        if row.pk == rows[0].pk:
            raise Transient("t", code="x:1")  # is written down at once
        go_on.wait(20)
        return SENT

    def settle(ends: Sequence[Any]) -> Any:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        drain(sends(speak), threads=1, settle=settle)
    go_on.set()
    side_by_side.pool(1).submit(int).result(20)  # whoever was to speak has spoken before
    assert spoke in ([rows[0].pk], [rows[0].pk, rows[1].pk])
    assert connection.in_atomic_block  # the rows stay leased; a kill leaves no less


@pytest.mark.parametrize("count", [3, 4, 9])
def test_a_run_goes_on_until_nothing_is_due(count: int, rung: list[str]) -> None:
    rows = reminders(count)
    assert drain(sends(), limit=4) == f"{count} done"
    assert {stored(row).work_state for row in rows} == {"done"}
    assert rung == []


def test_more_is_leased_before_what_is_there_is_used_up() -> None:
    reminders(20)
    asked = list[int]()

    def lease(limit: int) -> Sequence[Any]:
        asked.append(AppointmentReminder.objects.filter(work_state="waiting").count())
        return AppointmentReminder.work.lease(limit)

    assert drain(sends(), limit=8, lease=lease) == "20 done"
    assert asked == [20, 12, 4]


@pytest.mark.parametrize("end", [Again(), Transient("t", code="x:1"), Unknown("u", code="x:2")])
def test_a_run_in_which_rows_go_back_or_a_partner_fails_leases_no_more_and_rings(
    end: Exception, monkeypatch: pytest.MonkeyPatch, rung: list[str]
) -> None:
    monkeypatch.setattr(side_by_side, "CHUNK", 1)
    rows = reminders(9)

    def prepare(some: Sequence[Any]) -> list[Any]:
        return [end] * len(some)

    drain(prepare, limit=4, threads=1)
    assert [stored(row).lease_no for row in rows].count(1) == 4
    assert rung == ["reminders.deliver"]


def test_a_run_whose_time_is_over_leases_no_more_and_rings(monkeypatch: pytest.MonkeyPatch, rung: list[str]) -> None:
    reminders(9)
    monkeypatch.setattr(side_by_side, "BUDGET_S", 0.0)
    assert drain(sends(), limit=4) == "4 put back"
    assert rung == ["reminders.deliver"]
