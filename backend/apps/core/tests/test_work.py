"""Holds the seam: each row is leased by one worker at a time, only the holder writes its end, nothing is lost."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core import dispatch
from backend.apps.core.work import LEASE, WorkState, backoff, finish_all
from backend.apps.laboratory.models import InboundMessage

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def message(**over: Any) -> InboundMessage:
    """Save a message that was due an hour ago; its model may be handled twice."""
    raw = uuid.uuid4().bytes
    fields = {"due_at": timezone.now() - HOUR, "dedupe_key": uuid.uuid4().hex, **over}
    return InboundMessage.objects.create(raw=raw, size_bytes=16, sha256=hashlib.sha256(raw).hexdigest(), **fields)


def reminder() -> AppointmentReminder:
    """Save a reminder that was due an hour ago; its model must not be handled twice."""
    return make_reminder(due_at=timezone.now() - HOUR)


def lease_one(model: Any) -> Any:
    (row,) = model.work.lease(1)
    return row


def expire(row: Any, **over: Any) -> None:
    type(row).work.filter(pk=row.pk).update(leased_until=timezone.now() - HOUR, **over)


def together(*jobs: Callable[[], None]) -> None:
    """Run each job in a thread with a connection of its own."""

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(dispatch, "send", names.append)
    return names


def enqueue(key: str, **over: Any) -> InboundMessage:
    raw = b"MSH|"
    fields = {"raw": raw, "size_bytes": 4, "sha256": hashlib.sha256(raw).hexdigest(), "control_id": key}
    return InboundMessage.work.enqueue(dedupe_key=key, **fields, **over)


def test_the_same_key_twice_is_the_same_row_and_one_ring(
    rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        first, second = enqueue("k"), enqueue("k")
        assert rung == []  # nothing before the commit
    assert first.pk == second.pk
    assert InboundMessage.work.count() == 1
    assert rung == ["lab_results.file"]


def test_a_row_for_later_does_not_ring(rung: list[str], django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        enqueue("k", due_at=timezone.now() + HOUR)
    assert rung == []


@pytest.mark.django_db(transaction=True)
def test_two_who_enqueue_the_same_key_at_once_get_the_same_row(rung: list[str]) -> None:
    ready, found = threading.Barrier(4), list[Any]()

    def job() -> None:
        ready.wait()
        found.append(enqueue("k").pk)

    together(*[job] * 4)
    assert len(set(found)) == 1
    assert len(found) == 4
    assert rung == ["lab_results.file"]


def test_a_lease_takes_the_oldest_due_rows_and_marks_them() -> None:
    rows = [message(due_at=timezone.now() - hours * HOUR) for hours in (1, 3, 2)]
    taken = InboundMessage.work.lease(2)
    assert [row.pk for row in taken] == [rows[1].pk, rows[2].pk]
    stored = InboundMessage.work.get(pk=rows[1].pk)
    assert (stored.work_state, stored.lease_no, stored.attempts) == ("running", 1, 1)
    assert timedelta(0) < stored.leased_until - timezone.now() <= LEASE
    assert stored.status == "received"


@pytest.mark.parametrize("state", sorted({*WorkState.values} - {"waiting"}))
def test_only_waiting_rows_are_leased(state: str) -> None:
    message(work_state=state, leased_until=timezone.now() + HOUR)
    assert InboundMessage.work.lease(10) == []


def test_a_row_is_not_leased_before_it_is_due() -> None:
    message(due_at=timezone.now() + HOUR)
    assert InboundMessage.work.lease(10) == []


@pytest.mark.django_db(transaction=True)
def test_racing_workers_lease_each_row_once() -> None:
    rows = {message().pk for _ in range(60)}
    ready, taken = threading.Barrier(4), Counter[Any]()

    def job() -> None:
        ready.wait()
        while batch := InboundMessage.work.lease(4):
            taken.update(row.pk for row in batch)

    together(*[job] * 4)
    assert set(taken) == rows
    assert set(taken.values()) == {1}


@pytest.mark.django_db(transaction=True)
def test_a_second_worker_does_not_wait_for_the_first_ones_transaction() -> None:
    for _ in range(5):
        message()
    others: list[Any] = []
    with transaction.atomic():
        mine = InboundMessage.work.lease(3)
        together(lambda: others.extend(InboundMessage.work.lease(5)))
        assert len(others) == 2
    assert not {row.pk for row in mine} & {row.pk for row in others}


def test_a_slow_worker_cannot_write_over_its_successor() -> None:
    message()
    slow = lease_one(InboundMessage)
    expire(slow)
    successor = lease_one(InboundMessage)
    assert successor.lease_no == slow.lease_no + 1
    for late in (
        lambda: slow.finish(status="filed"),
        lambda: slow.give_up("late"),
        lambda: slow.hold("late"),
        lambda: slow.retry_later("late", HOUR),
        slow.release,
        slow.begin,
    ):
        assert late() is False
    stored = InboundMessage.work.get()
    assert (stored.work_state, stored.lease_no, stored.status) == ("running", successor.lease_no, "received")
    assert successor.finish(status="filed") is True


def test_finishing_writes_the_domains_fields_and_closes_the_row() -> None:
    message(last_error="before")
    assert lease_one(InboundMessage).finish(status="filed", status_reason="all 3 results")
    stored = InboundMessage.work.get()
    assert (stored.work_state, stored.status, stored.status_reason) == ("done", "filed", "all 3 results")
    assert (stored.last_error, stored.leased_until) == ("", None)


def test_begin_is_refused_once_the_lease_has_run_out() -> None:
    reminder()
    row = lease_one(AppointmentReminder)
    assert row.begin() is True
    expire(row)
    assert row.begin() is False


def test_an_expired_lease_is_taken_again_when_nobody_had_spoken_to_a_partner() -> None:
    reminder()
    expire(lease_one(AppointmentReminder))
    assert lease_one(AppointmentReminder).lease_no == 2
    assert AppointmentReminder.work.hold_lost() == 0


def test_an_expired_lease_is_held_for_a_person_when_the_message_may_be_out() -> None:
    reminder()
    row = lease_one(AppointmentReminder)
    row.begin()
    expire(row)
    assert AppointmentReminder.work.lease(10) == []
    assert AppointmentReminder.work.hold_lost() == 1
    stored = AppointmentReminder.work.get()
    assert (stored.work_state, stored.status, stored.leased_until) == ("held", "pending", None)
    assert "unknown" in stored.last_error


def test_what_may_be_done_twice_is_taken_again_even_when_it_had_begun() -> None:
    message()
    row = lease_one(InboundMessage)
    row.begin()
    expire(row)
    assert InboundMessage.work.hold_lost() == 0
    again = lease_one(InboundMessage)
    assert (again.pk, again.begun_at) == (row.pk, None)


def test_a_row_that_outlives_every_worker_is_held_and_not_leased_for_ever() -> None:
    message()
    expire(lease_one(InboundMessage), attempts=InboundMessage.max_attempts)
    assert InboundMessage.work.lease(10) == []
    assert InboundMessage.work.hold_lost() == 1
    stored = InboundMessage.work.get()
    assert (stored.work_state, stored.status) == ("held", "worklist")


def test_a_live_lease_is_never_held() -> None:
    reminder()
    lease_one(AppointmentReminder).begin()
    assert AppointmentReminder.work.hold_lost() == 0


def test_a_retry_goes_back_in_line_for_later() -> None:
    message()
    row = lease_one(InboundMessage)
    row.begin()
    assert row.retry_later("partner is busy", timedelta(minutes=5))
    stored = InboundMessage.work.get()
    assert (stored.work_state, stored.attempts, stored.begun_at) == ("waiting", 1, None)
    assert stored.last_error == "partner is busy"
    assert timedelta(minutes=4) < stored.due_at - timezone.now() < timedelta(minutes=6)
    assert InboundMessage.work.lease(1) == []


def test_the_last_attempt_is_not_retried_but_failed_and_a_person_sees_it() -> None:
    message(attempts=InboundMessage.max_attempts - 1)
    assert lease_one(InboundMessage).retry_later("still busy", HOUR)
    stored = InboundMessage.work.get()
    assert (stored.work_state, stored.status, stored.last_error) == ("failed", "worklist", "still busy")


def test_a_released_row_waits_again_and_its_attempt_does_not_count() -> None:
    message(last_error="an earlier one")
    assert lease_one(InboundMessage).release()
    stored = InboundMessage.work.get()
    assert (stored.work_state, stored.attempts, stored.last_error) == ("waiting", 0, "an earlier one")
    assert lease_one(InboundMessage).lease_no == 2


def test_finishing_many_at_once_leaves_out_those_that_are_no_longer_ours() -> None:
    for _ in range(4):
        message()
    rows = InboundMessage.work.lease(4)
    expire(rows[0])
    successor = lease_one(InboundMessage)
    assert finish_all(rows) == 3
    assert Counter(InboundMessage.work.values_list("work_state", flat=True)) == {"done": 3, "running": 1}
    assert finish_all([successor]) == 1
    assert finish_all([]) == 0


def test_a_long_error_is_cut_to_what_the_column_holds() -> None:
    message()
    lease_one(InboundMessage).give_up("x" * 5000)
    assert len(InboundMessage.work.get().last_error) == 300


def test_overdue_counts_what_waits_and_what_a_dead_worker_left() -> None:
    message()
    message(due_at=timezone.now() + HOUR)
    dead = message(work_state="running", leased_until=timezone.now() - HOUR)
    message(work_state="running", leased_until=timezone.now() + HOUR)
    message(work_state="done")
    assert InboundMessage.work.overdue().count() == 2
    assert dead in InboundMessage.work.overdue()


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 30), (1, 30), (2, 60), (3, 120), (10, 15_360), (11, 21_600), (1000, 21_600)]
)
def test_the_wait_doubles_up_to_six_hours(attempts: int, seconds: int) -> None:
    assert backoff(attempts) == timedelta(seconds=seconds)


def test_the_queue_of_a_task_is_its_first_word() -> None:
    assert dispatch.queue_for("lab_results.file") == "lab_results"


def test_a_broker_that_is_away_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    away = type(dispatch._producer)("away", set_as_current=False)
    away.config_from_object("django.conf:settings", namespace="CELERY")
    away.conf.broker_url = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(dispatch, "_producer", away)
    with django_capture_on_commit_callbacks(execute=True):
        enqueue("k")
    assert "the broker is away" in caplog.text
    assert InboundMessage.work.filter(dedupe_key="k", work_state="waiting").exists()
