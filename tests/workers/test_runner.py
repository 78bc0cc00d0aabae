"""Holds the runner: every way a handler can end is written down once, and a patient's data goes nowhere."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.work import LEASE
from backend.apps.laboratory.models import InboundMessage
from integrations.email import smtp
from integrations.errors import Permanent, Transient, Unknown
from tests.workers.rows import (
    CANARY,
    COMMITS,
    HOUR,
    elsewhere,
    end_my_connection,
    messages,
    reminders,
    run_out,
    stored,
    take_over,
)
from workers import runner, side_by_side
from workers.runner import HandlerBug, NotNeeded, drain, wait

Handler = Callable[[Any], Mapping[str, Any]]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def raises(error: Exception) -> Handler:
    def handle(row: Any) -> Mapping[str, Any]:
        raise error

    return handle


def filed(row: Any) -> dict[str, Any]:
    return {"status": "filed", "status_reason": "all of it"}


def test_success_saves_the_fields_the_handler_returned() -> None:
    (row,) = messages(1)
    assert drain(InboundMessage, filed) == "1 done"
    after = stored(row)
    assert (after.work_state, after.status, after.status_reason) == ("done", "filed", "all of it")
    assert (after.leased_until, after.attempts) == (None, 1)


def test_the_longest_answer_of_a_mail_server_ends_before_the_task_that_waits_for_it_and_its_lease(
    settings: Any,
) -> None:
    longest_s = smtp.PATIENCE_S + 2 * smtp.TIMEOUT_S + smtp.LAST_WORD_S
    ends_s = runner.BUDGET_S + side_by_side.WINDOW_S + longest_s
    assert ends_s < settings.CELERY_TASK_SOFT_TIME_LIMIT < LEASE.total_seconds()


def test_without_due_rows_no_handler_runs() -> None:
    messages(1)[0].finish()
    InboundMessage.work.update(due_at=timezone.now() + HOUR)
    assert drain(InboundMessage, raises(AssertionError())) == "nothing due"


@pytest.mark.django_db(**COMMITS)
def test_rows_are_handled_outside_any_transaction_and_oldest_first() -> None:
    rows, seen = messages(3), list[Any]()

    def handle(row: Any) -> dict[str, Any]:
        seen.append((row.pk, connection.in_atomic_block))
        return {}

    drain(InboundMessage, handle)
    assert seen == [(row.pk, False) for row in rows]


def test_a_transient_failure_waits_longer_than_the_first_backoff() -> None:
    (row,) = messages(1)
    assert drain(InboundMessage, raises(Transient("busy", code="lab:503"))) == "1 waiting"
    after = stored(row)
    assert (after.work_state, after.last_error, after.leased_until) == ("waiting", "busy (lab:503)", None)
    assert timedelta(seconds=25) < after.due_at - timezone.now() <= timedelta(seconds=38)


def test_the_partners_own_retry_after_is_honoured() -> None:
    (row,) = messages(1)
    drain(InboundMessage, raises(Transient("busy", code="lab:429", retry_after_s=1000)))
    ahead = stored(row).due_at - timezone.now()
    assert timedelta(seconds=990) < ahead <= timedelta(seconds=1251)


def test_waits_are_spread_and_never_shorter_than_asked() -> None:
    error = Transient("busy", code="x:1", retry_after_s=100)
    waits = {wait(1, error) for _ in range(200)}
    assert len(waits) > 100
    assert timedelta(seconds=100) <= min(waits) < max(waits) <= timedelta(seconds=125)


def test_a_permanent_failure_is_final_with_the_models_own_fields() -> None:
    (reminder,), (message,) = reminders(1), messages(1)
    error = Permanent("refused", code="twilio:21211")
    assert drain(AppointmentReminder, raises(error)) == "1 failed"
    assert drain(InboundMessage, raises(error)) == "1 failed"
    after = stored(reminder)
    assert (after.work_state, after.status, after.last_error) == ("failed", "failed", "refused (twilio:21211)")
    assert (stored(message).work_state, stored(message).status) == ("failed", "worklist")


def test_an_unknown_outcome_is_held_and_not_sent_again() -> None:
    (row,) = reminders(1)
    assert drain(AppointmentReminder, raises(Unknown("no answer", code="twilio:lost"))) == "1 held"
    after = stored(row)
    assert (after.work_state, after.status, after.leased_until) == ("held", "pending", None)
    assert drain(AppointmentReminder, raises(AssertionError())) == "nothing due"


def test_what_is_not_needed_is_done_with_its_own_changes() -> None:
    (row,) = reminders(1)
    error = NotNeeded("cancelled", status="suppressed", status_reason="The appointment is cancelled.")
    assert drain(AppointmentReminder, raises(error)) == "1 not needed"
    after = stored(row)
    assert (after.work_state, after.status) == ("done", "suppressed")
    assert after.status_reason == "The appointment is cancelled."


def test_used_up_attempts_end_as_failed_and_are_counted_so() -> None:
    (row,) = messages(1, attempts=InboundMessage.max_attempts - 1)
    assert drain(InboundMessage, raises(Transient("busy", code="lab:503"))) == "1 failed"
    after = stored(row)
    assert (after.work_state, after.status, after.attempts) == ("failed", "worklist", InboundMessage.max_attempts)


def test_a_bug_does_not_stop_the_batch_and_its_row_waits_where_that_is_safe() -> None:
    rows = messages(3)

    def handle(row: Any) -> dict[str, Any]:
        if row.pk == rows[0].pk:
            raise KeyError(CANARY)
        return filed(row)

    with pytest.raises(HandlerBug, match=r"^KeyError in lab_results\.file$"):
        drain(InboundMessage, handle)
    assert [stored(row).work_state for row in rows] == ["waiting", "done", "done"]
    assert stored(rows[0]).last_error == "KeyError"
    assert stored(rows[0]).due_at > timezone.now()


def test_a_bug_holds_the_row_where_the_message_may_be_out() -> None:
    (row,) = reminders(1)
    with pytest.raises(HandlerBug):
        drain(AppointmentReminder, raises(ValueError(CANARY)))
    after = stored(row)
    assert (after.work_state, after.last_error) == ("held", "ValueError after the send may have begun")


@pytest.mark.django_db(transaction=True)
def test_fields_the_database_refuses_are_a_bug_and_the_servers_words_about_them_are_kept_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (row,) = reminders(1, recipient_phone=CANARY[:16])
    with caplog.at_level(logging.DEBUG), pytest.raises(HandlerBug, match="IntegrityError") as caught:
        drain(AppointmentReminder, lambda _: {"status": "nonsense"})  # PostgreSQL answers with the whole row
    assert stored(row).work_state == "held"
    assert CANARY[:16] not in "".join(traceback.format_exception(caught.value)) + caplog.text


@pytest.mark.parametrize("make", [messages, reminders])
def test_the_text_of_a_bug_reaches_no_log_and_no_exception(
    make: Callable[[int], list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = make(1)
    with caplog.at_level(logging.DEBUG), pytest.raises(HandlerBug) as caught:
        drain(type(row), raises(ValueError(CANARY)))
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + stored(row).last_error
    assert CANARY not in told
    assert "ValueError" in caplog.text
    assert str(row.pk) in caplog.text
    assert "test_runner.py" in caplog.text  # where it broke is told


@pytest.mark.django_db(**COMMITS)
def test_a_database_that_is_away_in_mid_batch_ends_it_and_the_leases_stay() -> None:
    rows, begun = messages(3), list[Any]()

    def handle(row: Any) -> dict[str, Any]:
        begun.append(row.pk)
        if len(begun) == 2:
            end_my_connection()
        return filed(row)

    with pytest.raises(OperationalError):
        drain(InboundMessage, handle)
    connection.close()
    assert begun == [row.pk for row in rows[:2]]
    assert [stored(row).work_state for row in rows] == ["done", "running", "running"]
    assert all(stored(row).leased_until > timezone.now() for row in rows[1:])


@pytest.mark.django_db(**COMMITS)
def test_a_bug_while_the_database_goes_away_does_not_carry_its_text_along(caplog: pytest.LogCaptureFixture) -> None:
    (row,) = messages(1)

    def handle(row: Any) -> dict[str, Any]:
        end_my_connection()
        raise ValueError(CANARY)

    with caplog.at_level(logging.DEBUG), pytest.raises(OperationalError) as caught:
        drain(InboundMessage, handle)
    connection.close()
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + caplog.text
    assert caught.value.__context__ is None or CANARY not in str(caught.value.__context__)
    assert stored(row).work_state == "running"


@pytest.mark.django_db(**COMMITS)
def test_a_deadlock_costs_one_row_and_not_the_batch() -> None:
    rows = messages(2)

    def handle(row: Any) -> dict[str, Any]:
        if row.pk == rows[0].pk:
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE deadlock_detected; END $$")
        return filed(row)

    with pytest.raises(HandlerBug, match="OperationalError"):
        drain(InboundMessage, handle)
    assert [stored(row).work_state for row in rows] == ["waiting", "done"]


ENDS = [None, Permanent("p", code="x:1"), Unknown("u", code="x:2"), Transient("t", code="x:3"), NotNeeded("n")]


@pytest.mark.django_db(**COMMITS)
def test_a_lost_lease_is_not_written_over_however_the_handler_ends() -> None:
    rows = messages(len(ENDS))
    ends = dict(zip([row.pk for row in rows], ENDS, strict=True))

    def handle(mine: Any) -> dict[str, Any]:
        take_over(mine)
        if error := ends[mine.pk]:
            raise error
        return {"status": "filed"}

    assert drain(InboundMessage, handle) == f"{len(ENDS)} lease lost"
    after = InboundMessage.work.values_list("work_state", "lease_no", "status", "last_error")
    assert list(after) == len(ENDS) * [("running", 2, "received", "")]


@pytest.mark.django_db(transaction=True)
def test_nobody_speaks_to_a_partner_after_the_lease_is_gone() -> None:
    rows, spoke = reminders(2), list[Any]()

    def handle(row: Any) -> dict[str, Any]:
        spoke.append(row.pk)
        elsewhere(lambda: run_out(rows[1]))
        return {"status": "sent", "sent_at": timezone.now()}

    assert drain(AppointmentReminder, handle) == "1 done, 1 lease lost"
    assert spoke == [rows[0].pk]
    assert (stored(rows[1]).status, stored(rows[1]).begun_at) == ("pending", None)


def test_before_a_reminder_is_handled_it_is_noted_that_we_begin() -> None:
    reminders(1)
    noted: list[Any] = []

    def handle(row: Any) -> dict[str, Any]:
        noted.append(stored(row).begun_at)
        return {}

    drain(AppointmentReminder, handle)
    assert timezone.now() - noted[0] < timedelta(minutes=1)


def test_what_is_not_begun_within_the_budget_is_released_and_rung_for(
    monkeypatch: pytest.MonkeyPatch, rung: list[str]
) -> None:
    rows = messages(3)

    def handle(row: Any) -> dict[str, Any]:
        monkeypatch.setattr(runner.time, "monotonic", lambda: 10.0**12)
        return filed(row)

    assert drain(InboundMessage, handle) == "1 done, 2 released"
    assert [(stored(row).work_state, stored(row).attempts) for row in rows] == [
        ("done", 1),
        ("waiting", 0),
        ("waiting", 0),
    ]
    assert rung == ["lab_results.file"]


@pytest.mark.parametrize(("count", "rings"), [(3, []), (4, ["lab_results.file"]), (5, ["lab_results.file"])])
def test_only_a_full_batch_rings_again(count: int, rings: list[str], rung: list[str]) -> None:
    messages(count)
    drain(InboundMessage, filed, batch=4)
    assert rung == rings
    assert InboundMessage.work.filter(work_state="done").count() == min(count, 4)


def test_a_full_batch_rings_again_even_after_a_bug(rung: list[str]) -> None:
    messages(2)
    with pytest.raises(HandlerBug):
        drain(InboundMessage, raises(KeyError()), batch=2)
    assert rung == ["lab_results.file"]


def test_bulk_outcomes_take_one_statement_whatever_their_number(django_assert_num_queries: Any) -> None:
    for count in (2, 20):
        messages(count)
        with django_assert_num_queries(4):  # two looks for rows to lease, one outcome, the tally
            assert drain(InboundMessage, lambda _: {}, bulk=True) == f"{count} done"
    assert not InboundMessage.work.exclude(work_state="done").exists()


@pytest.mark.django_db(**COMMITS)
def test_bulk_outcomes_are_fenced_too() -> None:
    rows = messages(3)

    def handle(row: Any) -> dict[str, Any]:
        if row.pk == rows[1].pk:
            take_over(row)
        return {}

    assert drain(InboundMessage, handle, bulk=True) == "2 done, 1 lease lost"
    assert [stored(row).work_state for row in rows] == ["done", "running", "done"]


def test_in_bulk_a_failure_still_ends_only_its_own_row() -> None:
    rows = messages(3)

    def handle(row: Any) -> dict[str, Any]:
        if row.pk == rows[1].pk:
            raise Permanent("refused", code="x:1")
        return {}

    assert drain(InboundMessage, handle, bulk=True) == "2 done, 1 failed"
    assert [stored(row).work_state for row in rows] == ["done", "failed", "done"]
