"""Proves that the books are closed once a day whatever happens, and that what does not agree is told until it does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core import alerts, row_tally
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Alert, Heartbeat, ReconcileRun
from backend.apps.core.tests.test_row_tally import key_of
from backend.apps.interop import reconcile_alerts, reconciling
from backend.apps.laboratory.tests.test_reconcile import behind_the_back
from backend.apps.messaging.models import ProviderEvent
from backend.apps.users.tests.factories import make_user
from tests.workers.rows import HOUR, run_out
from workers import reconciling as worker
from workers import sweep
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
    return list(Alert.objects.filter(kind=reconcile_alerts.KIND, resolved_at=None).order_by("opened_at"))


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


def gone(hours_ago: int) -> ProviderEvent:
    """Write a report of a provider so long ago, and remove it behind the back."""
    key = key_of(timezone.now() - timedelta(hours=hours_ago), hours_ago)
    row = ProviderEvent.objects.create(pk=key, dedupe_key=f"gone:{hours_ago}", provider="twilio", kind="status")
    removed(row)
    return row


def removed(row: ProviderEvent | AppointmentReminder) -> None:
    with behind_the_back() as cursor:
        cursor.execute(f"DELETE FROM {row._meta.db_table} WHERE id = %s", [row.pk])  # noqa: S608  # ours


def closed_daily() -> ReconcileRun:
    """Let the beat put the reminders in line, though it did so today, and a worker close their books."""
    for run in ReconcileRun.objects.filter(dedupe_key__startswith="reconcile:reminders:"):
        ReconcileRun.objects.filter(pk=run.pk).update(dedupe_key=f"before:{run.pk}")
    worker.daily()
    return closed(ReconcileRun.objects.get(part="reminders", dedupe_key__startswith="reconcile:reminders:"))


def let_be() -> None:
    alerts.resolve(told()[0], by=make_user("admin"))


def test_another_row_that_is_gone_is_told_though_a_person_let_the_first_one_be() -> None:
    first = gone(30)
    closed_daily()
    let_be()
    closed_daily()
    assert told() == []
    with behind_the_back():
        first.save(force_insert=True)  # put back
    gone(40)
    closed_daily()
    (alert,) = told()
    assert "provider reports: gone (1)" in alert.sentence
    let_be()
    closed_daily()
    assert told() == []


def test_what_a_person_let_be_is_told_again_once_it_was_gone_meanwhile() -> None:
    row = spoil()
    closed_daily()
    let_be()
    mend(row)
    assert closed_daily().agree
    AppointmentReminder.objects.filter(pk=row.pk).update(work_state="done")
    assert closed_daily().agree is False
    assert len(told()) == 1


def test_a_row_written_long_ago_whose_time_is_ahead_is_missed_by_the_daily_run() -> None:
    row = make_reminder(id=key_of(timezone.now() - 60 * DAY))
    assert closed_daily().agree
    removed(row)
    run = closed_daily()
    assert [(fault["check"], fault["count"]) for fault in run.books["faults"]] == [("reminders: gone", 1)]
    gone(3)
    gone(24 * 70)
    (reports,) = (one for one in closed_daily().books["faults"] if one["check"] == "provider reports: gone")
    assert (reports["count"], len(reports["examples"])) == (2, 2)
    assert len(told()) == 1


def test_every_table_that_is_tallied_belongs_to_a_part() -> None:
    assert sorted(table for tables in reconciling.TABLES.values() for table in tables) == sorted(row_tally.TALLIED)


def test_a_run_of_an_hour_after_a_downtime_does_not_stand_for_the_days_before() -> None:
    last = closed_daily()
    long_ago = timezone.now() - 20 * DAY
    ReconcileRun.objects.filter(pk=last.pk).update(created_at=long_ago, since=long_ago - 8 * DAY)
    closed(in_line(since=timezone.now() - HOUR))
    assert closed_daily().since == row_tally.floor(long_ago)
    assert closed_daily().since > timezone.now() - 9 * DAY


def test_two_halves_stand_for_the_whole() -> None:
    now = timezone.now()
    for number, (since, until) in enumerate([(28, 23), (23, None)]):
        run = ReconcileRun.work.enqueue(
            dedupe_key=f"half:{number}", part="reminders", work_state="done", agree=True,
            since=now - since * DAY, until=until and now - until * DAY,
        )  # fmt: skip
        ReconcileRun.objects.filter(pk=run.pk).update(created_at=now - 20 * DAY + number * HOUR)
    assert closed_daily().since == row_tally.floor(now - 20 * DAY + HOUR)


def test_books_that_could_not_be_closed_are_told_until_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_ones() -> list[str]:
        return list(Alert.objects.filter(kind="reconcile_failed", resolved_at=None).values_list("sentence", flat=True))

    monkeypatch.setattr(reconciling, "BUDGET_S", -1.0)
    run = closed(in_line())
    assert open_ones() == [f"The books of the reminders could not be closed: {run.last_error}"]
    alerts.resolve(Alert.objects.get(resolved_at=None), by=make_user("admin"))
    monkeypatch.undo()
    closed(in_line("claims"))
    assert open_ones() == []  # a person knows
    lost = in_line("claims")
    ReconcileRun.work.filter(pk=lost.pk).update(
        work_state="running", attempts=ReconcileRun.max_attempts, leased_until=timezone.now() - HOUR
    )
    assert sweep.hold_lost() == "held 1"
    assert len(open_ones()) == 1
    closed(in_line("claims"))
    assert open_ones() == []


def test_one_long_question_ends_as_too_long() -> None:
    too_long = pytest.raises(reconciling.TooLong)
    with too_long, transaction.atomic(), reconciling._within(0.1), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30)")


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
