"""Proves that of books that do not agree nothing is told twice, nothing new is hidden, and what is over is cleared."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core import alerts
from backend.apps.core.ledger import EXAMPLES
from backend.apps.core.models import Alert, ReconcileRun
from backend.apps.core.tests.test_row_tally import key_of
from backend.apps.interop import reconciling, work_kinds
from backend.apps.interop.reconcile_let_be import Wrong, has_news, still
from backend.apps.laboratory.tests.test_reconcile import behind_the_back
from backend.apps.users.tests.factories import make_user
from tests.workers.rows import HOUR
from tests.workers.test_reconciling import DAY, closed, closed_daily, gone, in_line, let_be, mend, spoil, told
from workers import reconciling as worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def written(*hours_ago: int) -> None:
    for number in hours_ago:
        make_reminder(id=key_of(timezone.now() - number * HOUR, number))


def closed_to_the_end() -> ReconcileRun:
    """Close the books as the beat does, with all halves of halves."""
    run = closed_daily()
    for _ in range(12):
        ReconcileRun.work.filter(work_state="waiting", part="reminders").update(due_at=timezone.now() - HOUR)
        worker.run_due()
    assert not ReconcileRun.work.filter(work_state="waiting", part="reminders").exists()
    run.refresh_from_db()
    return run


def spoiled(count: int) -> list[AppointmentReminder]:
    return sorted((spoil() for _ in range(count)), key=lambda row: row.pk)


def test_a_range_that_is_later_closed_in_halves_clears_its_alert_when_all_of_them_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written(30, 20, 10)
    row = spoil()
    closed(in_line(since=None))
    monkeypatch.setattr(reconciling, "MOST_ROWS", 3)
    assert closed_to_the_end().books["split"]
    assert len(told()) == 1  # it is seen by a half, and not told anew
    mend(row)
    assert closed_to_the_end().since is None
    assert told() == []
    assert closed_to_the_end().since is not None


def test_halves_of_which_one_has_not_ended_clear_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written(30, 20, 10)
    row = spoil()
    closed(in_line(since=None))
    mend(row)
    monkeypatch.setattr(reconciling, "MOST_ROWS", 3)
    closed_daily()
    last = ReconcileRun.work.filter(work_state="waiting", part="reminders").latest("since")
    ReconcileRun.work.filter(pk=last.pk).update(work_state="failed", last_error="OperationalError")
    monkeypatch.undo()
    for run in ReconcileRun.work.filter(work_state="waiting", part="reminders"):
        closed(run)
    assert len(told()) == 1
    reconciling.retry(last, by=None)
    closed(last)
    assert told() == []


def test_what_a_person_let_be_is_not_told_again_by_a_half(monkeypatch: pytest.MonkeyPatch) -> None:
    written(30, 20, 10)
    row = spoil()
    closed_daily()
    let_be()
    monkeypatch.setattr(reconciling, "MOST_ROWS", 3)
    run = closed_to_the_end()
    assert "reminders: contradiction" in run.books["let_be"]
    closed_to_the_end()
    assert told() == []
    mend(row)
    closed_to_the_end()
    AppointmentReminder.objects.filter(pk=row.pk).update(work_state="done")
    closed_to_the_end()
    assert len(told()) == 1


def test_one_row_that_is_gone_is_one_alert_though_the_range_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    written(30, 29, 28, 3, 2, 1)
    gone(40)
    monkeypatch.setattr(reconciling, "MOST_ROWS", 3)
    assert closed_to_the_end().books["split"]
    assert ["provider reports: gone (1)" in alert.sentence for alert in told()] == [True]
    assert ReconcileRun.objects.filter(agree=False).count() == 1


def test_a_row_gone_from_before_the_range_is_missed_though_the_range_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    written(30, 29, 28, 3, 2, 1)
    gone(24 * 70)
    monkeypatch.setattr(reconciling, "MOST_ROWS", 3)
    assert closed_to_the_end().books["split"]
    assert len(told()) == 1


def test_too_much_from_before_the_range_has_its_own_sentence_and_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    written(30, 20, 10)
    monkeypatch.setattr(reconciling, "EARLIER_S", -1.0)
    run = closed_daily()
    assert run.last_error == "there is more from before the range than can be compared in one go (books:earlier)"
    assert ReconcileRun.objects.filter(part="reminders").count() == 1


def test_a_closing_that_a_person_gave_up_is_over_and_what_he_noted_is_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciling, "BUDGET_S", -1.0)
    run = closed(in_line())
    (alert,) = Alert.objects.filter(kind="reconcile_failed")
    alerts.resolve(alert, by=make_user("admin"))
    work_kinds.give_up([run], reason="Mrs. Miller asked for it")
    reconciling.tell_broken_off()
    alert.refresh_from_db()
    assert "Miller" not in alert.sentence
    assert not Alert.objects.filter(kind="reconcile_failed", resolved_at=None).exists()


def test_giving_up_a_broken_closing_clears_its_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "BUDGET_S", -1.0)
    work_kinds.give_up([closed(in_line())], reason="known")
    reconciling.tell_broken_off()
    assert not Alert.objects.filter(resolved_at=None).exists()


def looked_before(run: ReconcileRun, monkeypatch: pytest.MonkeyPatch, meanwhile: Any) -> None:
    """Close a run, and do something between its look and what it tells."""
    real = reconciling.PARTS[run.part]

    def look(*args: Any, **over: Any) -> Any:
        books = real(*args, **over)
        monkeypatch.undo()
        meanwhile()
        return books

    monkeypatch.setitem(reconciling.PARTS, run.part, look)
    closed(run)


def waiting_apart(since: Any) -> ReconcileRun:
    """Put a run in line that no other drain takes."""
    run = in_line(since=since)
    ReconcileRun.work.filter(pk=run.pk).update(due_at=timezone.now() + DAY)
    return run


def test_a_run_that_looked_earlier_does_not_clear_what_a_later_one_found(monkeypatch: pytest.MonkeyPatch) -> None:
    older = waiting_apart(timezone.now() - 9 * DAY)

    def meanwhile() -> None:
        spoil()
        assert closed_daily().agree is False

    looked_before(older, monkeypatch, meanwhile)
    older.refresh_from_db()
    assert older.agree is True
    assert len(told()) == 1


def test_a_run_that_looked_earlier_does_not_tell_what_a_later_one_found_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    row = spoil()
    older = waiting_apart(timezone.now() - DAY)

    def meanwhile() -> None:
        mend(row)
        assert closed_daily().agree is True

    looked_before(older, monkeypatch, meanwhile)
    older.refresh_from_db()
    assert older.agree is False
    assert told() == []


def test_rows_whose_keys_tell_no_time_are_not_gone() -> None:
    make_reminder(id=uuid4())
    make_reminder(id="ffffffff-1111-4111-8111-111111111111")
    assert closed_daily().agree
    assert closed(in_line(since=None)).agree


def test_what_a_person_let_be_stays_so_while_some_of_it_is_mended() -> None:
    rows = spoiled(7)
    closed_daily()
    let_be()
    mend(rows[0])
    closed_daily()
    assert told() == []
    moved = AppointmentReminder.objects.filter(pk=rows[1].pk)
    moved.update(scheduled_send_time=timezone.now() - 9 * DAY, created_at=timezone.now() - 9 * DAY)
    assert closed_daily().books["faults"][0]["count"] == 5
    assert told() == []


def test_what_is_new_is_told_though_no_more_rows_are_wrong_than_a_person_let_be() -> None:
    rows = spoiled(10)
    closed_daily()
    let_be()
    for row in rows[5:9]:
        mend(row)
    closed_daily()
    assert told() == []
    spoiled(4)
    closed_daily()
    assert ["(10)" in alert.sentence for alert in told()] == [True]


def test_a_seventh_row_is_told_in_the_place_of_one_that_was_mended() -> None:
    rows = spoiled(7)
    closed_daily()
    let_be()
    mend(rows[6])
    spoil()
    closed_daily()
    assert ["(7)" in alert.sentence for alert in told()] == [True]


def test_what_a_person_let_be_is_read_from_the_newest_closing_alone() -> None:
    spoiled(2)
    first = closed_daily()
    let_be()
    closed_daily()
    Alert.objects.all().delete()
    ReconcileRun.objects.filter(pk=first.pk).update(books={})
    closed_daily()
    assert told() == []


def test_an_alert_says_what_is_left_of_what_it_told_and_calls_nobody_again() -> None:
    row, _ = spoiled(2)
    closed_daily()
    (before,) = told()
    mend(row)
    run = closed_daily()
    (alert,) = told()
    assert (alert.pk, alert.subject_id, alert.news_at) == (before.pk, str(run.pk), before.news_at)
    assert "contradiction (1)" in alert.sentence


def test_an_hour_of_which_some_rows_were_put_back_is_not_told_again() -> None:
    first = gone(30)
    twin = type(first)(pk=key_of(timezone.now() - 30 * HOUR, 99), dedupe_key="twin", provider="twilio", kind="status")
    twin.save(force_insert=True)
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM messaging_providerevent WHERE id = %s", [twin.pk])
    closed_daily()
    let_be()
    with behind_the_back():
        first.save(force_insert=True)
    closed_daily()
    assert told() == []


def wrong(names: range, rows: int | None = None) -> dict[str, Wrong]:
    listed = {str(name): 1 for name in names[:EXAMPLES]}
    return {"check": Wrong(len(names) if rows is None else rows, listed)}


@pytest.mark.parametrize(
    ("found", "known", "is_new"),
    [
        (range(3), range(5), False),
        (range(1, 4), range(3), True),
        (range(6), range(5), True),
        (range(1, EXAMPLES), range(EXAMPLES + 9), False),  # which ones were let be is not all listed
        (range(EXAMPLES + 10), range(EXAMPLES + 9), True),
    ],
)
def test_news_is_what_is_not_known_where_all_that_is_known_is_listed(found: range, known: range, is_new: bool) -> None:
    assert has_news(wrong(found), wrong(known)) is is_new


def test_of_what_is_known_that_much_stays_as_is_found_again() -> None:
    assert still(wrong(range(5)), wrong(range(3, 9))) == {"check": Wrong(5, {"3": 1, "4": 1})}
    assert still(wrong(range(5)), {}) == {}
    assert still(wrong(range(EXAMPLES + 9)), wrong(range(2, 9))) == wrong(range(2, 9))
    many = wrong(range(EXAMPLES + 9))
    assert still(many, wrong(range(9, EXAMPLES + 18))) == many
