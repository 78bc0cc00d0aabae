"""Proves with real processes that a replay whose worker is killed in its midst is finished once by the next."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from backend.apps.laboratory import replays
from backend.apps.laboratory.models import InboundMessage, LabReplay, LabResult
from backend.apps.patients.tests.factories import make_patient
from tests.support.lab_messages import oru
from tests.support.stage import Stage, until

DRAIN = """
import time
import workers.celery_app
from workers import lab_replays
lab_replays.FILED_AT_ONCE = 1
while True:
    if lab_replays.run_due() == "nothing due":
        time.sleep(0.05)
"""
MESSAGES = 40
pytestmark = pytest.mark.timeout(180)


def test_a_replay_whose_worker_is_killed_is_finished_by_the_next_and_files_nothing_twice(stage: Stage) -> None:
    ids = [oru(make_patient(), minute=n).pk for n in range(MESSAGES)]
    InboundMessage.objects.update(status="worklist", work_state="done")
    replay = replays.request(by=None, messages=ids, dry_run=False)
    with transaction.atomic():  # the victim comes to a message that we hold, and can get no further
        InboundMessage.objects.select_for_update(no_key=True).get(pk=ids[5])
        victim = stage.start("victim", "-c", DRAIN)
        until(lambda: LabReplay.objects.filter(pk=replay.pk, done=5).exists(), within_s=60)
        stage.kill_tree(victim)
    LabReplay.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    left = LabReplay.objects.get(pk=replay.pk)
    assert (left.work_state, left.done) == ("running", 5)
    stage.start("last", "-c", DRAIN)
    until(lambda: LabReplay.objects.filter(pk=replay.pk, status="finished").exists(), within_s=90)
    done = LabReplay.objects.get(pk=replay.pk)
    assert (done.done, done.appears, done.changes) == (MESSAGES, 2 * MESSAGES, 0)  # an order and a result each
    assert LabResult.objects.count() == MESSAGES
    assert set(InboundMessage.objects.values_list("status", "work_state")) == {("filed", "done")}
    assert replays.outcomes(done) == {"filed": MESSAGES}
