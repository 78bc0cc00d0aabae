"""Proves that the books are closed once a day whatever happens, and that what does not agree is told until it does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core import alerts, row_tally
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Alert, Heartbeat, ReconcileRun
from backend.apps.interop import reconciling
from backend.apps.users.tests.factories import make_user
from tests.workers.rows import HOUR, run_out
from workers import reconciling as worker
from workers.runner import drain

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]
DAY = timedelta(days=1)


def in_line(part: str = "reminders", **over: Any) -> ReconcileRun:
    since = over.pop("since", timezone.now() - DAY)
    return reconciling.ask(part, since=since, until=None, by=None, **over)


def closed(run: ReconcileRun) -> ReconcileRun:
    """Let a worker close one run; its transaction began before the row was due."""
    ReconcileRun.work.filter(pk=run.pk).update(due_at=timezone.now() - HOUR)
    worker.run_due()
    run.refresh_from_db()
    return run


def spoil() -> AppointmentReminder:
    """Make the books of the reminders disagree: a row is done with, and nothing says how it ended."""
    made = make_reminder()
    AppointmentReminder.objects.filter(pk=made.pk).update(work_state="done")
    return made


def mend(row: AppointmentReminder) -> None:
    AppointmentReminder.objects.filter(pk=row.pk).update(work_state="waiting")


def told() -> list[Alert]:
    return list(Alert.objects.filter(kind=reconciling.KIND, resolved_at=None).order_by("opened_at"))


def test_each_part_is_put_in_line_once_a_day_whoever_asks_how_often(
    rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert worker.daily() == f"{len(reconciling.PARTS)} in line"
    assert worker.daily() == "0 in line"
    assert set(ReconcileRun.objects.values_list("part", flat=True)) == set(worker.PARTS)
    assert "reconcile.run" in rung
    assert Heartbeat.objects.get(entry="reconcile").runs == 2


def test_after_days_of_downtime_one_run_covers_them_all() -> None:
    last = closed(in_line())
    long_ago = timezone.now() - 20 * DAY
    ReconcileRun.objects.filter(pk=last.pk).update(created_at=long_ago)
    worker.daily()
    (late,) = ReconcileRun.objects.filter(part="reminders", work_state="waiting")
    assert late.since == row_tally.floor(long_ago)
    (usual,) = ReconcileRun.objects.filter(part="claims")
    assert usual.since == row_tally.floor(usual.created_at - reconciling.SPAN)


def test_a_run_keeps_its_books_and_agrees() -> None:
    make_reminder()
    run = closed(in_line())
    assert (run.agree, run.work_state, run.books["faults"]) == (True, "done", [])
    assert run.ended_at is not None
    assert {"name": "reminders by text", "taken_in": 1, "outcomes": run.books["accounts"][0]["outcomes"],
            "in_line": 1, "unexplained": 0} == run.books["accounts"][0]  # fmt: skip
    assert told() == []


def test_what_does_not_agree_is_one_critical_alert_until_a_run_over_the_same_range_agrees() -> None:
    wrong = spoil()
    run = closed(in_line())
    assert run.agree is False
    (alert,) = told()
    assert (alert.severity, alert.subject_id) == ("critical", str(run.pk))
    assert "reminders: contradiction (1)" in alert.sentence
    closed(in_line())
    assert [one.pk for one in told()] == [alert.pk]
    mend(wrong)
    closed(in_line(since=timezone.now()))
    assert [one.pk for one in told()] == [alert.pk]  # that one did not look so far back
    closed(in_line("claims"))
    assert [one.pk for one in told()] == [alert.pk]
    closed(in_line(since=run.since))
    assert told() == []


def test_other_faults_take_the_place_of_those_that_were_told() -> None:
    spoil()
    first = closed(in_line())
    spoil()
    closed(in_line(since=first.since))
    (alert,) = told()
    assert "contradiction (2)" in alert.sentence


def test_what_a_person_has_resolved_is_told_again_only_when_it_is_something_else() -> None:
    spoil()
    closed(in_line())
    alerts.resolve(told()[0], by=make_user("admin"))
    closed(in_line())
    assert told() == []
    spoil()
    closed(in_line())
    assert len(told()) == 1


@pytest.mark.parametrize("days", [30, None], ids=["a month", "the beginning"])
def test_the_daily_run_reaches_back_to_what_does_not_agree_yet(days: int | None) -> None:
    spoil()
    first = closed(in_line(since=days and timezone.now() - timedelta(days=days)))
    worker.daily()
    assert ReconcileRun.objects.get(part="reminders", work_state="waiting").since == row_tally.floor(first.since)


def test_a_run_whose_worker_died_is_closed_by_the_next_one_and_told_once() -> None:
    spoil()
    run = in_line()
    ReconcileRun.work.update(due_at=timezone.now() - HOUR)
    (leased,) = ReconcileRun.work.lease(1)
    worker.close(leased)  # and dies before it wrote that down
    run_out(leased)
    assert drain(ReconcileRun, worker.close) == "1 done"
    run.refresh_from_db()
    assert (run.agree, len(told())) == (False, 1)


def test_what_is_too_much_for_one_run_is_closed_in_two_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    make_reminder()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_rowtally (table_name, hour, count, marks) SELECT table_name, hour - interval '3 hours', "
            "10, 0 FROM core_rowtally WHERE table_name = 'appointments_appointmentreminder'"
        )
    monkeypatch.setattr(reconciling, "MOST_ROWS", 5)
    run = closed(in_line())
    halves = ReconcileRun.objects.filter(pk__in=run.books["split"]).order_by("since")
    assert run.agree is None
    assert [one.since for one in halves] == [run.since, halves[0].until]
    assert halves[1].until is None
    assert halves[0].until.minute == 0


def test_a_run_that_finds_no_time_is_halved_or_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "BUDGET_S", -1.0)
    run = closed(in_line())
    assert (run.work_state, run.last_error) == (
        "failed",
        "there is more in an hour than can be read in one go (books:time)",
    )
    reconciling.retry(run, by=None)
    monkeypatch.undo()
    assert closed(run).agree is True
    with pytest.raises(Conflict):
        reconciling.retry(run, by=None)


def test_what_cannot_be_asked_for_is_refused_in_a_sentence() -> None:
    now = timezone.now()
    for part, since, until in (
        ("money", None, None),
        ("claims", now + DAY, None),
        ("claims", now - DAY, now - 2 * DAY),
    ):
        with pytest.raises(DomainError):
            reconciling.ask(part, since=since, until=until, by=None)
    in_line("claims")
    with pytest.raises(Conflict):
        in_line("claims")
