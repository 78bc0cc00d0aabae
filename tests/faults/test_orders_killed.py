"""Proves with a real worker that an order whose worker dies while it sends is held, and never sent again by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import LabOrderMessage
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_test, make_order_feed, make_order_message
from integrations.doubles.laboratory import LabDouble, ack
from tests.support.stage import Stage, until

DRAIN = """
import workers.celery_app
from workers.lab_orders import send_due
while (told := send_due()) != "nothing due":
    print(told, flush=True)
"""
SWEEP = "import workers.celery_app; from workers import sweep; print(sweep.hold_lost())"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def lab() -> Iterator[LabDouble]:
    with LabDouble() as double:
        yield double


def test_an_order_whose_worker_is_killed_after_the_bytes_left_is_held_and_sent_once(
    stage: Stage, lab: LabDouble
) -> None:
    feed, test = make_order_feed(order_port=lab.port), make_lab_test()
    due = timezone.now() - timedelta(hours=1)
    rows = [
        make_order_message(
            lab_order=make_lab_order(status="ordered", feed=feed, tests=[test]), due_at=due + timedelta(seconds=number)
        )
        for number in range(3)
    ]
    lab.next(ack("AA"), wait_s=60)
    victim = stage.start("victim", "-c", DRAIN)
    until(lambda: lab.taken)
    stage.kill_tree(victim)
    LabOrderMessage.work.update(leased_until=timezone.now() - timedelta(seconds=1))
    for name, code in (("sweep", SWEEP), ("second", DRAIN)):
        assert stage.start(name, "-c", code).wait(60) == 0
    ends = dict(LabOrderMessage.objects.values_list("control_id", "work_state"))
    assert ends == {
        rows[0].control_id: WorkState.HELD,
        rows[1].control_id: WorkState.DONE,
        rows[2].control_id: WorkState.DONE,
    }
    assert sorted(lab.controls()) == sorted(row.control_id for row in rows)
    held = LabOrderMessage.objects.get(pk=rows[0].pk)
    assert (held.status, bytes(held.raw)) == ("uncertain", lab.taken[0])
