"""Kills the workers that send reminders, with two beats and a wiped Redis: the provider has each reminder once.

The full form, 1,500 reminders and 100 kills of four workers, is `./carerelay bench reminders-kill`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

from backend.apps.appointments.models import AppointmentReminder
from tests.support import reminder_load
from tests.support.reminder_siege import ReminderSiege, Verdict

REMINDERS, KILLS = 60, 5
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def siege(tmp_path: Path, transactional_db: None) -> Iterator[ReminderSiege]:
    made = ReminderSiege(tmp_path, secrets.randbelow(10**6), workers=2, per_second=12.0, beats=2)
    yield made
    made.close()


def test_r24_whenever_a_worker_is_killed_each_reminder_leaves_once_and_none_is_lost(siege: ReminderSiege) -> None:
    print(f"seed {siege.seed}")
    numbers = reminder_load.due_texts(REMINDERS)
    siege.start()
    siege.fight(KILLS, pause_s=(0.2, 0.6), wipe_redis=True)
    assert siege.settle(60), reminder_load.rows(
        "SELECT status, work_state, last_error, count(*) FROM appointments_appointmentreminder GROUP BY 1, 2, 3"
    )
    assert siege.kills >= KILLS
    assert siege.verdict(numbers) == Verdict(sent=REMINDERS, doubled=0, missing=0, strange=0)
    rows = AppointmentReminder.objects.values_list("external_id", "status", "work_state")
    assert {(status, work_state) for _, status, work_state in rows} == {("sent", "done")}
    assert len({sid for sid, _, _ in rows}) == REMINDERS
    call_command("reconcile", "--settle-seconds", "0")  # exits otherwise
    assert_that_a_double_and_a_loss_would_be_seen(siege, numbers)


def assert_that_a_double_and_a_loss_would_be_seen(siege: ReminderSiege, numbers: list[str]) -> None:
    lines = siege.log.read_text().splitlines()
    siege.log.write_text("\n".join([*lines[1:], lines[1]]) + "\n")
    assert siege.verdict(numbers) == Verdict(sent=REMINDERS, doubled=1, missing=1, strange=0)
