"""Proves the seam with real processes: rows leased once, nothing lost when Redis or a worker dies, nothing twice."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.core.bases import uuid7
from backend.apps.core.work import WorkState
from backend.apps.doctors.tests.factories import make_doctor
from integrations.doubles.twilio import TwilioDouble
from tests.support.reminder_load import reachable
from tests.support.stage import Stage, until

DRAIN = """
import workers.celery_app
from workers.reminders import deliver_due
while (told := deliver_due()) != "nothing due":
    print(told, flush=True)
"""
SWEEP = "import workers.celery_app; from workers import sweep; print(sweep.overdue(), sweep.hold_lost())"
RING = "import workers.celery_app; from backend.apps.core import dispatch; dispatch.send('reminders.deliver')"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def unlimited(stage: Stage) -> None:
    """The provider takes as many as come, one after the other of each process."""
    stage.extra.update(CARERELAY_SMS_PER_SECOND="1000", CARERELAY_SEND_THREADS="1")


def due_reminders(count: int) -> None:
    """Write `count` visits five minutes apart, each of another patient and with one text message that is due."""
    doctor, patients, now = make_doctor(), reachable(count), timezone.now()
    visits = Appointment.objects.bulk_create(
        Appointment(
            doctor=doctor,
            patient=patients[number],
            appointment_datetime=now + timedelta(minutes=60 + 5 * number),
            duration_minutes=5,
        )
        for number in range(count)
    )
    AppointmentReminder.objects.bulk_create(
        AppointmentReminder(
            appointment=visit,
            appointment_version=visit.version,
            offset_minutes=120,
            reminder_type="sms",
            scheduled_send_time=now - timedelta(seconds=1),
            due_at=now - timedelta(seconds=1),
            dedupe_key=f"fault:{uuid7()}",
        )
        for visit in visits
    )


def states() -> Counter[str]:
    return Counter(AppointmentReminder.objects.values_list("work_state", flat=True))


def attempts(double: TwilioDouble) -> Counter[str]:
    """Count what the provider took, by text: each visit is at a time of its own."""
    return Counter(sms.body for sms in double.sent)


def test_eight_racing_workers_send_each_reminder_once(stage: Stage, twilio: TwilioDouble) -> None:
    due_reminders(240)
    racers = [stage.start(f"racer{number}", "-c", DRAIN) for number in range(8)]
    assert [racer.wait(90) for racer in racers] == [0] * 8
    assert states() == {WorkState.DONE: 240}
    assert set(attempts(twilio).values()) == {1}
    assert len(twilio.sent) == 240
    assert not AppointmentReminder.objects.exclude(status="sent", attempts=1, lease_no=1).exists()
    assert set(AppointmentReminder.objects.values_list("external_id", flat=True)) == {sms.sid for sms in twilio.sent}


def test_a_reminder_whose_worker_is_killed_while_it_sends_is_held_and_never_sent_again(
    stage: Stage, twilio: TwilioDouble
) -> None:
    due_reminders(3)
    twilio.fail_next(hang_s=60, accepted=True)
    victim = stage.start("victim", "-c", DRAIN)
    until(lambda: twilio.sent)
    stage.kill_tree(victim)
    assert states() == {WorkState.RUNNING: 3}
    AppointmentReminder.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert stage.start("sweep", "-c", SWEEP).wait(60) == 0
    assert stage.start("second", "-c", DRAIN).wait(60) == 0
    assert states() == {WorkState.HELD: 3}  # those noted with it too: the provider is asked for each of them
    assert set(attempts(twilio).values()) == {1}
    assert len(twilio.sent) == 1


def test_a_wiped_redis_loses_no_reminder(stage: Stage, twilio: TwilioDouble) -> None:
    due_reminders(30)
    stage.start("ring", "-c", RING).wait(60)
    stage.kill_redis_and_wipe_it()
    stage.redis.start()
    stage.worker()
    assert states() == {WorkState.WAITING: 30}
    assert stage.start("sweep", "-c", SWEEP).wait(60) == 0
    until(lambda: states() == {WorkState.DONE: 30})
    assert set(attempts(twilio).values()) == {1}


def test_a_worker_survives_redis_dying_under_a_running_task(stage: Stage, twilio: TwilioDouble) -> None:
    due_reminders(1)
    worker = stage.worker()
    answer = threading.Event()
    twilio.fail_next(until=answer, accepted=True, status=503)
    stage.start("ring", "-c", RING).wait(60)
    until(lambda: twilio.sent)
    assert states() == {WorkState.RUNNING: 1}
    stage.kill_redis_and_wipe_it()
    stage.redis.start()
    until(lambda: b"Connected to" in stage.log("worker").rpartition(b"Connection to broker lost")[2])
    answer.set()
    until(lambda: WorkState.RUNNING not in states())
    assert worker.poll() is None
    AppointmentReminder.objects.update(work_state=WorkState.WAITING, begun_at=None, due_at=timezone.now())
    stage.start("again", "-c", RING).wait(60)
    until(lambda: states() == {WorkState.DONE: 1})
