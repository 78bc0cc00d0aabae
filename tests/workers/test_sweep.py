"""Holds the sweep: whatever a lost bell or a dead worker left is rung for again or put before a person."""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg
import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

import beat_schedule
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.models import Heartbeat
from backend.apps.core.work import work_models
from backend.apps.laboratory.models import InboundMessage
from tests.workers.rows import HOUR, messages, reminders, run_out, stored
from workers import sweep
from workers.beats import beating
from workers.celery_app import app
from workers.runner import attempt

pytestmark = pytest.mark.django_db
SWEEP, HOLD = "sweep overdue rows", "hold work whose outcome is unknown"


def test_each_kind_of_overdue_work_is_rung_for_once(rung: list[str]) -> None:
    messages(5)
    reminders(3)
    assert sweep.overdue() == "rang for 2 of 2"
    assert sorted(rung) == ["lab_results.file", "reminders.deliver"]


def test_a_kind_with_nothing_due_is_not_rung_for(rung: list[str]) -> None:
    reminders(1)
    messages(1)[0].finish()
    InboundMessage.work.update(due_at=timezone.now() + HOUR)
    sweep.overdue()
    assert rung == ["reminders.deliver"]


def test_an_expired_lease_is_rung_for_and_a_live_one_is_not(rung: list[str]) -> None:
    messages(1)
    (row,) = InboundMessage.work.lease(1)
    sweep.overdue()
    assert rung == []
    run_out(row)
    sweep.overdue()
    assert rung == ["lab_results.file"]


def test_a_broker_that_is_away_is_told_in_the_tasks_own_words(rung: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    messages(1)
    monkeypatch.setattr("backend.apps.core.dispatch.send", lambda _: False)
    assert sweep.overdue() == "rang for 0 of 1"


def test_what_a_dead_worker_had_begun_to_send_is_held_and_the_rest_is_not() -> None:
    reminders(2)
    begun, untouched = AppointmentReminder.work.lease(2)
    begun.begin()
    run_out(begun)
    run_out(untouched)
    assert sweep.hold_lost() == "held 1"
    assert (stored(begun).work_state, stored(untouched).work_state) == ("held", "running")
    assert "unknown" in stored(begun).last_error
    assert sweep.hold_lost() == "held 0"


def test_each_run_leaves_a_beat_and_the_next_one_counts_on(rung: list[str]) -> None:
    for runs in (1, 2):
        sweep.overdue()
        sweep.hold_lost()
        for entry in (SWEEP, HOLD):
            beat = Heartbeat.objects.get(entry=entry)
            assert beat.runs == runs
            assert timezone.now() - beat.last_run_at < timedelta(minutes=1)


def test_a_run_that_fails_leaves_no_beat() -> None:
    with pytest.raises(KeyError), beating(SWEEP):
        raise KeyError
    assert not Heartbeat.objects.filter(runs__gt=0).exists()


def test_every_entry_of_the_schedule_names_a_task_that_exists_and_notes_its_beat(rung: list[str]) -> None:
    app.loader.import_default_modules()
    for entry in beat_schedule.SCHEDULE.values():
        app.tasks[entry["task"]]()
    assert set(Heartbeat.objects.filter(runs=1).values_list("entry", flat=True)) == set(beat_schedule.SCHEDULE)


def test_every_kind_of_work_has_a_task_of_its_name() -> None:
    app.loader.import_default_modules()
    assert {model.task_name for model in work_models()} <= set(app.tasks)
    assert {AppointmentReminder, InboundMessage} <= set(work_models())


@pytest.mark.django_db(transaction=True)
def test_a_task_after_the_database_was_away_finds_it_again() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (ours,) = cursor.fetchone()
    where = {name: connection.settings_dict[name.upper()] for name in ("host", "port", "user", "password")}
    with psycopg.connect(**where, dbname=connection.settings_dict["NAME"], autocommit=True) as another:
        another.execute("SELECT pg_terminate_backend(%s, 5000)", [ours])
    with pytest.raises(OperationalError):
        Heartbeat.objects.exists()  # outside a transaction, so Django keeps what is broken
    assert sweep.overdue().startswith("rang for")


@pytest.mark.django_db(transaction=True)
def test_what_is_raised_while_a_task_gives_its_connection_back_is_told_by_its_kind_alone() -> None:
    Heartbeat.objects.exists()
    mine, found = connections["default"], list[Exception | None]()

    def begin() -> None:
        connections["default"] = mine  # which Django closes in its own thread only, and says so
        found.append(attempt(sweep.overdue)[1])

    mine.close_at = 0.0
    other = threading.Thread(target=begin)
    other.start()
    other.join()
    assert [str(error) for error in found] == ["DatabaseError in sweep.overdue"]
