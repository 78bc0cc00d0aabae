"""Holds the tallies: each engine adds what its rows came to and why they failed, once, and never at their cost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core import tallies
from backend.apps.core.models import WorkTally
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_lab_feed
from integrations.errors import BadAddress, Permanent, Transient, Unknown
from tests.workers.rows import CANARY, COMMITS, HOUR, messages, reminders, stored
from tests.workers.test_side_by_side import sends
from workers.mllp import counters
from workers.mllp.database import Database
from workers.runner import HandlerBug, NotNeeded, drain, drain_together
from workers.side_by_side import drain_side_by_side

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


SHOWN = counters.SHOWN


def told(task: str) -> dict[str, int]:
    return dict(WorkTally.objects.filter(task=task).values_list("outcome", "count"))


def in_turn(*ends: Exception | None) -> Any:
    """Return a handler whose rows end one after the other as said; None is a success."""
    left: Iterator[Exception | None] = iter(ends)

    def handle(row: Any) -> dict[str, Any]:
        end = next(left)
        if end is not None:
            raise end
        return {}

    return handle


def test_a_batch_adds_its_rows_by_how_they_ended_and_its_errors_by_class() -> None:
    messages(7)
    ends = in_turn(
        None, None, NotNeeded("n"), Transient("t", code="x:1"), BadAddress("p", code="x:2"), Unknown("u", code="x:3"),
        ValueError(CANARY),
    )  # fmt: skip
    with pytest.raises(HandlerBug):
        drain(InboundMessage, ends)
    assert told("lab_results.file") == {
        "done": 2, "not_needed": 1, "waiting": 2, "failed": 1, "held": 1,
        "error:transient": 1, "error:bad_address": 1, "error:unknown": 1, "error:bug": 1,
    }  # fmt: skip


def test_a_second_batch_adds_to_the_same_rows() -> None:
    for _ in range(2):
        messages(3)
        drain(InboundMessage, in_turn(None, None, Permanent("p", code="x:1")))
    assert told("lab_results.file") == {"done": 4, "failed": 2, "error:permanent": 2}


def test_the_wait_is_between_when_rows_were_due_and_their_lease() -> None:
    messages(2)  # due an hour ago, and a second less
    drain(InboundMessage, in_turn(None, Transient("t", code="x:1")))
    rows = {row.outcome: row for row in WorkTally.objects.filter(task="lab_results.file")}
    assert rows["done"].waited_s == rows["waiting"].waited_s
    assert float(rows["done"].waited_s) == pytest.approx(3599.5, abs=5)
    assert 0 < rows["done"].seconds < 60
    assert (rows["error:transient"].waited_s, rows["error:transient"].seconds) == (0, 0)


def test_nothing_is_noted_when_nothing_was_due() -> None:
    assert drain(InboundMessage, in_turn()) == drain_together(InboundMessage, list) == "nothing due"
    assert told("lab_results.file") == {}


def test_rows_handled_together_are_added_as_one_and_a_bad_one_by_itself() -> None:
    rows = messages(5)

    def handle(group: Any) -> list[dict[str, Any]]:
        if any(row.pk == rows[2].pk for row in group):
            raise Transient("t", code="x:1")
        return [{} for _ in group]

    assert drain_together(InboundMessage, handle) == "4 done, 1 waiting"
    assert told("lab_results.file") == {"done": 4, "waiting": 1, "error:transient": 1}


def test_messages_sent_side_by_side_are_added_too() -> None:
    rows = reminders(3)
    refused = {rows[1].pk: Permanent("p", code="x:1")}

    def speak(row: Any) -> dict[str, Any]:
        if row.pk in refused:
            raise refused[row.pk]
        return {"status": "sent", "sent_at": timezone.now()}

    drain_side_by_side(AppointmentReminder, sends(speak), limit=10, threads=2)
    assert told("reminders.deliver") == {"done": 2, "failed": 1, "error:permanent": 1}


@contextmanager
def without_the_table() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_worktally RENAME TO elsewhere")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO core_worktally")


@pytest.mark.django_db(**COMMITS)
def test_what_the_door_takes_in_and_refuses_is_added_and_a_failure_is_told_by_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    WorkTally.objects.filter(task=counters.NAME).delete()
    asyncio.run(minute(accepted=3, refused=1))
    asyncio.run(minute(accepted=0, refused=0))
    assert told(counters.NAME) == {"done": 3, "refused": 1}
    with without_the_table():
        asyncio.run(minute(accepted=2, refused=0))
    assert "the tally of mllp.receive was not noted: UndefinedTable" in caplog.text
    assert told(counters.NAME) == {"done": 3, "refused": 1}
    WorkTally.objects.filter(task=counters.NAME).delete()


@pytest.mark.django_db(**COMMITS)
def test_the_end_of_a_certificate_is_noted_when_the_database_takes_it_and_forgotten_where_none_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, ends_at = make_lab_feed(), timezone.now() + HOUR

    async def noted(*shown: datetime | None, away: int = 0) -> None:
        database = Database()
        counted = counters.Counters(database)
        for one in shown:
            counted.show(feed.pk.bytes, one)
        for number in range(away + 1):
            monkeypatch.setattr(counters, "SHOWN", "SELECT 1/0" if number < away else SHOWN)
            await counted.note()
        await database.close()

    for shown, end in (((None, ends_at), ends_at), ((ends_at, None), None)):
        asyncio.run(noted(*shown, away=1))
        feed.refresh_from_db()
        assert feed.certificate_ends_at == end


async def minute(*, accepted: int, refused: int) -> None:
    database = Database()
    counted = counters.Counters(database)
    counted.accepted, counted.refused["unknown_sender"] = accepted, refused
    await counted.end()
    await database.close()


@pytest.mark.django_db(**COMMITS)
def test_a_tally_that_cannot_be_noted_costs_the_batch_nothing(caplog: pytest.LogCaptureFixture) -> None:
    (row,) = messages(1)
    with without_the_table():
        assert drain(InboundMessage, in_turn(None)) == "1 done"
    assert stored(row).work_state == "done"
    assert "the tally of lab_results.file was not noted: ProgrammingError" in caplog.text


@pytest.mark.django_db(**COMMITS)
def test_a_batch_that_dies_in_the_middle_has_added_nothing() -> None:
    messages(2)

    def dies(row: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    WorkTally.objects.all().delete()
    with pytest.raises(KeyboardInterrupt):
        drain(InboundMessage, dies)
    assert told("lab_results.file") == {}


def test_slots_begin_every_quarter_of_an_hour_by_the_databases_clock() -> None:
    tallies.note("x.y", {"done": 1}, 0.5, 2.0)
    row = WorkTally.objects.get(task="x.y")
    assert row.starts_at.timestamp() % tallies.SLOT_S == 0
    assert timezone.now() - timedelta(seconds=tallies.SLOT_S) - HOUR < row.starts_at <= timezone.now()
    assert (row.count, row.seconds, row.waited_s) == (1, 0.5, 2.0)
