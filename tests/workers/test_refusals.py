"""Holds that a refused call leaves its row, a flood of them few, and that the rows tell how many there were."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection
from django.test import RequestFactory
from django.utils import timezone

from backend.apps.core import refusals
from backend.apps.core.models import AuditLog, Heartbeat
from tests.support.clocks import held_minute
from workers import audit, sweep


@pytest.fixture(autouse=True)
def minute() -> Iterator[None]:
    with held_minute():
        yield


def knock(times: int, reason: str = "not signed", door: str = "twilio") -> None:
    for _ in range(times):
        refusals.note(RequestFactory().post("/x", HTTP_USER_AGENT="caller"), door, reason)


def told() -> list[tuple[str, str, int]]:
    rows = AuditLog.objects.filter(action="refuse_call", outcome="refused").order_by("timestamp")
    return [(row.resource_id, row.detail["reason"], row.detail["calls"]) for row in rows]


def a_minute_later() -> Any:
    return time_machine.travel(timezone.now() + timedelta(minutes=1), tick=False)


@pytest.mark.django_db
def test_the_first_call_of_a_minute_is_a_row_at_once_and_all_others_one_more_once_it_is_over() -> None:
    knock(40)
    knock(1, "too large")
    knock(2, door="sendgrid")
    firsts = [("twilio", "not signed", 1), ("twilio", "too large", 1), ("sendgrid", "not signed", 1)]
    assert told() == firsts
    row = AuditLog.objects.filter(resource_id="twilio")[0]
    assert (row.ip_address, row.user_agent, set(row.detail)) == ("127.0.0.1", "caller", {"reason", "minute", "calls"})
    assert audit.count_refused() == "added 0 rows", "the minute is not over"
    with a_minute_later():
        knock(3)
        assert [audit.count_refused() for _ in range(2)] == ["added 2 rows", "added 0 rows"]
    assert sum(calls for _, _, calls in told()) == 40 + 1 + 2 + 1
    with time_machine.travel(timezone.now() + timedelta(minutes=9), tick=False):
        assert audit.count_refused() == "added 1 rows", "a beat that was away for minutes adds what it missed"
    assert sum(calls for _, _, calls in told()) == 40 + 1 + 2 + 3
    assert len(told()) == 7
    assert Heartbeat.objects.get(entry="calls refused").runs == 4


@pytest.mark.django_db
def test_what_could_not_be_added_as_a_whole_is_added_by_the_next_look_and_no_minute_twice() -> None:
    for door, times in (("twilio", 5), ("broker", 8), ("sendgrid", 5)):
        knock(times, door=door)
    with a_minute_later(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditlog ADD CONSTRAINT no_7 CHECK (detail->'calls' <> '7'::jsonb) NOT VALID")
        with pytest.raises(IntegrityError):
            refusals.close()
        cursor.execute("ALTER TABLE core_auditlog DROP CONSTRAINT no_7")
        assert refusals.close() == 3
        assert sum(calls for _, _, calls in told()) == 5 + 8 + 5
        assert refusals.close() == 0, "whoever added it fell over before the count was forgotten"


@pytest.mark.django_db
def test_while_redis_is_away_each_process_writes_one_row_a_minute(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    knock(5)
    assert told() == [("twilio", "not signed", 1)]
    with a_minute_later():
        knock(5)
    assert len(told()) == 2


@pytest.mark.django_db
def test_a_refusal_that_cannot_be_written_down_is_let_be_and_the_next_one_is_the_first() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditlog ADD CONSTRAINT never CHECK (action <> 'refuse_call') NOT VALID")
        knock(3)
        assert told() == []
        cursor.execute("ALTER TABLE core_auditlog DROP CONSTRAINT never")
    knock(2)
    assert told() == [("twilio", "not signed", 1)]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_close_a_minute_at_once_one_adds_it() -> None:
    knock(5)
    holds, may_end = threading.Event(), threading.Event()

    def other() -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [refusals.ALONE])
            holds.set()
            may_end.wait(20)
            cursor.execute("COMMIT")
        connection.close()

    with a_minute_later():
        thread = threading.Thread(target=other)
        thread.start()
        assert holds.wait(20)
        assert refusals.close() == 0
        may_end.set()
        thread.join()
        assert refusals.close() == 1
    assert told() == [("twilio", "not signed", 1), ("twilio", "not signed", 4)]


@pytest.mark.django_db
def test_a_stranger_in_the_broker_is_written_down() -> None:
    assert [sweep.tell_stranger() for _ in range(3)] == ["told"] * 3
    assert told() == [("broker", "no bell of ours", 1)]
