"""Places orders at a laboratory and sends what is due; without it each test of orders would do it in its own way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backend.apps.core.work import WorkState
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import services
from backend.apps.laboratory.models import LabOrder, LabOrderMessage
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_test, make_order_feed
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.doubles.laboratory import LabDouble
from tests.workers.rows import HOUR
from workers import lab_orders, other_messages


def place(lab: LabDouble, *codes: str, **over: Any) -> LabOrder:
    """Place an order of tests with these codes at the laboratory."""
    feed = over.pop("feed", None) or make_order_feed(order_port=lab.port)
    tests = [make_lab_test(test_code=code) for code in codes or ("2823-3",)]
    fields = {"patient": make_patient(), "doctor": make_doctor(), "feed": feed, **over}
    order = services.order(by=make_user(role="lab_tech"), tests=tests, **fields)
    return services.place(order, by=None)


def send_all() -> str:
    """Let everything that waits be due, in order, and work on it once."""
    for number, row in enumerate(LabOrderMessage.objects.filter(work_state=WorkState.WAITING).order_by("pk")):
        LabOrderMessage.work.filter(pk=row.pk).update(due_at=timezone.now() - HOUR + timedelta(seconds=number))
    return lab_orders.send_due()


def states(order: LabOrder) -> list[tuple[str, str, str]]:
    rows = LabOrderMessage.objects.filter(lab_order=order).order_by("revision")
    return list(rows.values_list("control", "status", "work_state"))


def only(order: LabOrder) -> LabOrderMessage:
    return LabOrderMessage.objects.get(lab_order=order)


def inbound(kind: str, body: Callable[[bytes], bytes], about: LabOrderMessage, **over: Any) -> dict[str, Any]:
    """Return what becomes of an answer that the laboratory sends over a connection of its own."""
    row = make_inbound_message(body(bytes(about.raw)), message_type=kind, feed=about.feed, **over)
    return other_messages.handle(row)
