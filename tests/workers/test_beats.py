"""Holds the beat: what is late is told, what was missed is rung for once, and a dead-man address hears of good runs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

import beat_schedule
from backend.apps.core import beats as clinic
from backend.apps.core import dispatch
from backend.apps.core.models import Alert, AlertNotice, Heartbeat
from backend.config.environment import addresses, mailboxes
from integrations.doubles.server import Answer, HttpDouble, Request
from workers import beats, deadman, schedules, sweep, watchman
from workers.alerts import notify_due
from workers.beats import beating
from workers.celery_app import all_known, app
from workers.schedules import Entry

pytestmark = pytest.mark.django_db
SWEEP, HOURLY, DAILY = "sweep overdue rows", "expire exports", "insurance re-verification due"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
WEDNESDAY = datetime(2026, 3, 4, 9, 20, tzinfo=UTC)


def row(entry: str, **fields: Any) -> Heartbeat:
    found, _ = Heartbeat.objects.update_or_create(entry=entry, defaults={"task": "a.task", **fields})
    return found


@pytest.mark.parametrize(
    ("when", "last", "due_by"),
    [
        (crontab(hour="9", minute="10"), WEDNESDAY - 10 * MINUTE, WEDNESDAY + DAY + 5 * MINUTE),
        (crontab(hour="9", minute="30"), WEDNESDAY + 10 * MINUTE - DAY, WEDNESDAY + 25 * MINUTE),
        (crontab(minute="*/5"), WEDNESDAY, WEDNESDAY + 20 * MINUTE),
        (crontab(minute="5"), WEDNESDAY - 15 * MINUTE, WEDNESDAY + HOUR),
        (crontab(hour="6", minute="0", day_of_week="1"), datetime(2026, 3, 2, 6, tzinfo=UTC),
         datetime(2026, 3, 9, 6, 15, tzinfo=UTC)),
        (crontab(hour="0", minute="0", day_of_month="31"), datetime(2026, 1, 31, tzinfo=UTC),
         datetime(2026, 3, 31, 0, 15, tzinfo=UTC)),
    ],
    ids=["past today", "later today", "every five minutes", "hourly", "on Mondays", "on a day few months have"],
)  # fmt: skip
def test_a_crontab_tells_its_last_window_and_when_its_next_run_is_late(
    when: crontab, last: datetime, due_by: datetime
) -> None:
    entry = Entry("any", "a.task", None, when)
    assert (entry.last_due(WEDNESDAY), entry.due_by(WEDNESDAY)) == (last, due_by)


@pytest.mark.parametrize(("every_s", "patience_s"), [(15, 60), (60, 180), (3600, 10800)])
def test_what_comes_every_few_seconds_may_miss_three_periods_and_never_less_than_a_minute(
    every_s: int, patience_s: int
) -> None:
    entry = Entry("any", "a.task", timedelta(seconds=every_s), None)
    assert entry.due_by(WEDNESDAY) == WEDNESDAY + timedelta(seconds=patience_s)
    assert entry.last_due(WEDNESDAY) is None


def test_a_good_run_is_due_again_and_a_run_that_fails_is_counted_and_stays_due() -> None:
    with beating(SWEEP):
        pass
    good = Heartbeat.objects.get(entry=SWEEP)
    assert timedelta(0) < good.due_by - good.last_run_at <= timedelta(seconds=60)
    for failures in (1, 2):
        with pytest.raises(KeyError), beating(SWEEP):
            raise KeyError
        bad = Heartbeat.objects.get(entry=SWEEP)
        assert (bad.failures, bad.runs, bad.due_by, bad.last_run_at) == (failures, 1, good.due_by, good.last_run_at)
        assert bad.failed_at
    with beating(SWEEP):
        pass
    assert Heartbeat.objects.get(entry=SWEEP).failures == 0


def test_a_failure_that_cannot_be_noted_is_still_the_one_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor, pytest.raises(DataError), beating(SWEEP):
            cursor.execute("SELECT 1 / 0")  # whatever is said in this transaction afterwards fails
        transaction.set_rollback(True)
    assert "could not be noted: " in caplog.text


def test_the_sweep_knows_each_entry_and_forgets_those_that_are_gone(django_assert_num_queries: Any) -> None:
    row("gone from the schedule")
    row(SWEEP, task="an.older.name", runs=7)
    beats.register()
    assert dict(Heartbeat.objects.values_list("entry", "task")) == {
        name: one["task"] for name, one in beat_schedule.SCHEDULE.items()
    }
    assert Heartbeat.objects.get(entry=SWEEP).runs == 7
    assert not Heartbeat.objects.filter(due_by=None).exclude(entry=SWEEP).exists()
    with django_assert_num_queries(1):
        assert beats.register() == 0


def test_a_late_entry_is_one_alert_until_it_runs(rung: list[str]) -> None:
    beats.register()
    assert sweep.catch_up() == "rang for 0, 0 late"
    Heartbeat.objects.filter(entry__in=(SWEEP, DAILY)).update(due_by=Now() - MINUTE, failures=2)
    for _ in range(2):
        assert sweep.catch_up() == "rang for 0, 2 late"
    assert Alert.objects.filter(kind="beat_late", resolved_at=None).count() == 2
    assert "failed 2 times in a row" in Alert.objects.get(cause=f"beat late:{SWEEP}").sentence
    with beating(SWEEP):
        pass
    sweep.catch_up()
    assert list(Alert.objects.filter(resolved_at=None).values_list("cause", flat=True)) == [f"beat late:{DAILY}"]


def test_readyz_names_what_is_late_and_stays_ready() -> None:
    assert Client().get("/readyz").json()["beat"] == "late: no worker has seen the schedule yet"
    beats.register()
    assert Client().get("/readyz").json()["beat"] == "ok"
    Heartbeat.objects.filter(entry__in=(SWEEP, DAILY)).update(due_by=Now() - MINUTE)
    ready = Client().get("/readyz")
    assert (ready.status_code, ready.json()["beat"]) == (200, f"late: {DAILY}, {SWEEP}")
    assert {one.entry for one in clinic.late()} == {DAILY, SWEEP}


def test_after_three_days_of_downtime_a_daily_entry_is_rung_for_once(rung: list[str]) -> None:
    beats.register()
    Heartbeat.objects.update(last_run_at=Now() - 4 * DAY, caught_up_at=Now() - 4 * DAY)
    daily = sorted(one.task for one in schedules.entries() if one.crontab)
    beats.catch_up()
    assert sorted(rung) == daily
    assert beats.catch_up() == 0, "and a minute later not again, though it has not run yet"
    assert sorted(rung) == daily


@pytest.mark.parametrize(
    ("missed_min", "rung_min", "again"),
    [(6, 6, False), (20, 14, False), (21, 15, True), (60, 18, False), (600, 59, False), (600, 61, True)],
)
def test_a_window_whose_run_failed_or_whose_bell_was_lost_is_rung_for_again_and_again(
    rung: list[str], missed_min: int, rung_min: int, again: bool
) -> None:
    beats.register()
    due, one = WEDNESDAY - 10 * MINUTE, schedules.entry(DAILY)
    daily = row(DAILY, task=one.task, caught_up_at=due + (missed_min - rung_min) * MINUTE)
    now = due + missed_min * MINUTE
    assert beats._caught_up(one, daily, now) is again
    assert rung == [one.task] * again


def test_without_a_beat_what_is_late_runs_and_only_that_the_beat_is_gone_is_told(
    rung: list[str], settings: Any
) -> None:
    settings.ON_CALL = ("first@oncall.example.org",)
    beats.register()
    Heartbeat.objects.update(caught_up_at=Now() - DAY)
    Heartbeat.objects.filter(entry__in=(SWEEP, HOURLY)).update(due_by=Now() - MINUTE)
    hourly = schedules.entry(HOURLY).task
    assert "2 late" in sweep.catch_up()
    assert rung.count(hourly) == 1
    assert "sweep.overdue" not in rung, "the workers do it themselves, and it stays late while there is no beat"
    sweep.catch_up()
    assert rung.count(hourly) == 1, "and not each minute"
    AlertNotice.work.update(due_at=Now() - MINUTE)
    sweep.catch_up()
    assert rung.count("alerts.notify") == 1
    assert notify_due() == "1 done"
    assert list(Alert.objects.values_list("cause", "tellings")) == [(f"beat late:{SWEEP}", 1)]


def test_what_was_rung_for_and_does_not_run_is_told_all_the_same(rung: list[str]) -> None:
    beats.register()
    Heartbeat.objects.filter(entry=HOURLY).update(due_by=Now() - 10 * MINUTE, caught_up_at=Now() - 2 * MINUTE)
    sweep.catch_up()
    assert Alert.objects.get().cause == f"beat late:{HOURLY}"


@pytest.mark.parametrize("ran_ago", [timedelta(0), MINUTE / 2], ids=["after it", "by a clock that is ahead"])
def test_a_window_in_which_it_ran_is_not_rung_for(rung: list[str], ran_ago: timedelta) -> None:
    beats.register()
    now = timezone.now()
    for one in schedules.entries():
        if one.crontab:
            row(one.name, task=one.task, last_run_at=one.last_due(now) - ran_ago, caught_up_at=None)
    assert beats.catch_up() == 0


def test_a_bell_the_broker_does_not_take_is_rung_again(monkeypatch: pytest.MonkeyPatch, rung: list[str]) -> None:
    beats.register()
    Heartbeat.objects.filter(entry=DAILY).update(caught_up_at=Now() - 4 * DAY)
    with monkeypatch.context() as away:
        away.setattr(dispatch, "send", lambda _: False)
        assert beats.catch_up() == 0
    assert beats.catch_up() == 1


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core"])
def test_two_at_once_ring_once(rung: list[str]) -> None:
    beats.register()
    Heartbeat.objects.update(last_run_at=Now() - 4 * DAY, caught_up_at=Now() - 4 * DAY)
    start, found = threading.Barrier(2), list[int]()

    def look() -> None:
        start.wait()
        found.append(beats.catch_up())
        connection.close()

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for each in lookers:
        each.start()
    for each in lookers:
        each.join()
    assert sum(found) == len(rung) == len(set(rung)) == len([one for one in schedules.entries() if one.crontab])


def test_each_worker_rings_at_its_start_and_every_minute_until_its_connection_ends(rung: list[str]) -> None:
    class Timer:
        entries: list[Any] = []

        def call_repeatedly(self, seconds: float, call: Any, given: tuple[str, ...]) -> Timer:
            self.entries.append((seconds, call, given))
            return self

        def cancel(self) -> None:
            self.entries.clear()

    class Consumer:
        timer = Timer()

    assert watchman.Watchman in app.steps["consumer"]
    assert watchman.TASK in app.tasks
    step = watchman.Watchman(Consumer())
    step.start(Consumer())
    assert rung == ["sweep.catch_up"]
    ((seconds, call, given),) = Timer.entries
    call(*given)
    assert (seconds, rung) == (60.0, ["sweep.catch_up"] * 2)
    step.stop(Consumer())
    step.stop(Consumer())
    assert Timer.entries == []


class Deadman(HttpDouble):
    def take(self, request: Request) -> Answer:
        return Answer(200, b"OK", {})


def ping(settings: Any, url: str) -> None:
    settings.DEADMAN = {SWEEP: url}
    Heartbeat.objects.filter(entry=SWEEP).update(pinged_at=None)
    thread = deadman.tell(SWEEP)
    assert thread is not None
    thread.join(10)


def test_a_dead_man_address_hears_of_good_runs_once_a_minute(settings: Any) -> None:
    with Deadman() as double:
        settings.DEADMAN = {SWEEP: f"{double.url}/ping/1"}
        with pytest.raises(KeyError), beating(SWEEP):
            raise KeyError
        assert double.requests == []
        for _ in range(3):
            with beating(SWEEP), beating(DAILY):
                pass
        assert [(one.method, one.path) for one in double.arrived(1)] == [("GET", "/ping/1")]
        Heartbeat.objects.update(pinged_at=Now() - 2 * MINUTE)
        with beating(SWEEP):
            pass
        assert len(double.arrived(2)) == 2


@pytest.mark.parametrize("text", ["secret", "[]", '{"a": "ftp://secret"}', '{"a": 1}', '{"a": "secret"}'])
def test_addresses_that_are_none_stop_the_start_and_are_not_repeated(text: str) -> None:
    assert addresses("") == {}
    assert addresses('{"catch up": "https://hc.example.org/1"}') == {"catch up": "https://hc.example.org/1"}
    with pytest.raises(ImproperlyConfigured) as refused:
        addresses(text)
    assert "secret" not in str(refused.value)


def test_a_dead_man_address_of_no_entry_stops_the_start() -> None:
    all_known([SWEEP, DAILY])
    with pytest.raises(ImproperlyConfigured, match=r"^CARERELAY_DEADMAN: no entry of the beat schedule is sweep\.$"):
        all_known([SWEEP, "sweep"])


@pytest.mark.parametrize(
    "text", ["secret", "secret@", "a@example.org; secret@example.org", "a@b@secret", "A <a@secret>"]
)
def test_mailboxes_that_are_none_stop_the_start_and_are_not_repeated(text: str) -> None:
    assert mailboxes(" a@example.org ,, b@example.org,") == ("a@example.org", "b@example.org")
    with pytest.raises(ImproperlyConfigured) as refused:
        mailboxes(text)
    assert "secret" not in str(refused.value)


def test_an_address_that_fails_hangs_or_leads_elsewhere_is_told_by_its_class_only(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadman, "TIMEOUT_S", (0.1, 0.1))
    row(SWEEP)
    with Deadman() as double, Deadman() as elsewhere:
        double.fail_next(302, headers={"Location": elsewhere.url}, method="GET")
        ping(settings, f"{double.url}/secret-1")
        double.fail_next(hang_s=0.3, method="GET")
        ping(settings, f"{double.url}/secret-2")
        ping(settings, "http://127.0.0.1:1/secret-3")
        assert len(double.requests) == 2
        assert elsewhere.requests == []
    assert [one.getMessage().rpartition(" ")[2] for one in caplog.records] == ["Permanent", "Transient", "Transient"]
    assert "secret" not in caplog.text
