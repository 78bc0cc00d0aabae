"""Puts orders in line for the laboratory they go to; without it somebody would have to carry them there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core import alerts, dispatch
from backend.apps.core.exceptions import Conflict
from backend.apps.core.models import Alert
from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import LabFeed, LabOrder, LabOrderMessage, OrderControl
from backend.apps.laboratory.models.order_messages import NEVER_TAKEN, TROUBLES, OrderMessageStatus

Status = OrderMessageStatus
MOST_TOLD = 200  # alerts opened at one look


def usual_feed() -> LabFeed | None:
    """Return the feed orders go to when nobody says which: the only active one that takes orders."""
    feeds = list(LabFeed.objects.filter(is_active=True).exclude(order_message="")[:2])
    return feeds[0] if len(feeds) == 1 else None


@transaction.atomic
def announce(order: LabOrder) -> LabOrderMessage | None:
    """Put a placed order in line for its laboratory; None when it goes to none."""
    return _enqueue(order, OrderControl.NEW) if _goes_out(order) and not _locked(order) else None


@transaction.atomic
def announce_change(order: LabOrder) -> LabOrderMessage | None:
    """Let the laboratory know that the order has changed; None when nothing has to be said.

    A message that has not left is written anew when its turn comes, and says the change too.
    """
    earlier = _locked(order)
    if not earlier or not _goes_out(order):
        return None
    unsent = unsent_of(order).filter(revision=earlier[-1].revision)
    if unsent.update(raw=b"", updated_at=timezone.now()):
        return earlier[-1]
    taken = [row for row in earlier if row.status not in NEVER_TAKEN]
    return _enqueue(order, OrderControl.CHANGE if taken else OrderControl.NEW)


@transaction.atomic
def announce_cancel(order: LabOrder) -> LabOrderMessage | None:
    """Let the laboratory know that the order is cancelled; None when it never heard of it."""
    earlier = _locked(order)
    if not earlier:
        return None
    withdraw(order, before=earlier[-1].revision + 1)
    if all(row.status in NEVER_TAKEN for row in _locked(order)):
        return None
    return _enqueue(order, OrderControl.CANCEL)


def withdraw(order: LabOrder, *, before: int) -> int:
    """Take back the messages of an order before a revision of which nothing has left; return how many."""
    gone = {"status": Status.WITHDRAWN, "status_reason": "The order was cancelled before this was sent."}
    return (
        unsent_of(order)
        .filter(revision__lt=before)
        .update(**gone, work_state=WorkState.DONE, updated_at=timezone.now())
    )


def withdraw_before(message: LabOrderMessage) -> int:
    """Take back what has not left and would only be cancelled by this message; return how many there were."""
    return withdraw(message.lab_order, before=message.revision) if message.control == OrderControl.CANCEL else 0


def unsent_of(order: LabOrder) -> QuerySet[LabOrderMessage]:
    """Return the messages of an order of which nothing has left, and that no worker holds."""
    return LabOrderMessage.work.filter(lab_order=order, work_state=WorkState.WAITING, sent_at__isnull=True)


def before(message: LabOrderMessage) -> QuerySet[LabOrderMessage]:
    """Return the messages of the same order that come before this one, first to last."""
    rows: QuerySet[LabOrderMessage] = LabOrderMessage.objects.filter(lab_order=message.lab_order_id)
    return rows.filter(revision__lt=message.revision).order_by("revision")


@transaction.atomic
def resend(message: LabOrderMessage, *, by: Any) -> LabOrderMessage:
    """Send a message again that failed, was refused or may be lost: same bytes, same control id, so a laboratory that
    has it already takes it once.
    """
    later = LabOrderMessage.objects.filter(lab_order=message.lab_order_id, revision__gt=message.revision)
    if later.filter(sent_at__isnull=False).exists():
        raise Conflict("A later message of this order has gone out; this one would undo it.")
    message.resend(by)
    alerts.clear(cause_of(message))
    return message


@transaction.atomic
def mark_as_arrived(message: LabOrderMessage, *, by: Any) -> LabOrderMessage:
    """Note that the laboratory has this message, as somebody there said."""
    message.mark_as_arrived(by)
    alerts.clear(cause_of(message))
    wake_next(message)
    return message


def wake_next(message: LabOrderMessage) -> None:
    """Let the later messages of the order go at once; they may have waited for this one."""
    waiting = LabOrderMessage.work.filter(lab_order=message.lab_order_id, work_state=WorkState.WAITING)
    if waiting.filter(revision__gt=message.revision).update(due_at=Now(), updated_at=Now()):
        dispatch.ring(LabOrderMessage.task_name)


def tell(now: datetime) -> int:
    """Open an alert for each message in trouble that nobody was told of; return how many. Safe to repeat."""
    untold = LabOrderMessage.objects.filter(status__in=TROUBLES, told_at__isnull=True).select_related("lab_order")
    rows = list(untold.defer("raw", "ack").order_by("updated_at")[:MOST_TOLD])
    for row in rows:
        with transaction.atomic():
            severity = Alert.Severity.CRITICAL if row.lab_order.is_urgent else Alert.Severity.WARNING
            sentence = f"Order {row.lab_order.order_number}: {row.get_status_display()}. {row.status_reason}"[:300]
            alerts.open_once(cause_of(row), kind="lab_order_trouble", sentence=sentence, severity=severity, subject=row)
            LabOrderMessage.work.filter(pk=row.pk).update(told_at=now)
    return len(rows)


def cause_of(message: LabOrderMessage) -> str:
    return f"lab order message:{message.pk}"


def _goes_out(order: LabOrder) -> bool:
    return order.feed is not None and bool(order.feed.order_message) and not order.is_external


def _locked(order: LabOrder) -> list[LabOrderMessage]:
    """Return what was said about the order so far; only one of us says something at a time."""
    LabOrder.all_objects.select_for_update(no_key=True).get(pk=order.pk)
    return list(LabOrderMessage.objects.filter(lab_order=order).defer("raw", "ack").order_by("revision"))


def _enqueue(order: LabOrder, control: OrderControl) -> LabOrderMessage:
    revision = LabOrderMessage.all_objects.filter(lab_order=order).count() + 1
    return LabOrderMessage.work.enqueue(
        dedupe_key=f"order:{order.pk}:{revision}:{control}",
        lab_order=order,
        feed=order.feed,
        revision=revision,
        control=control,
        control_id=f"{order.order_number}.{revision}",
    )
