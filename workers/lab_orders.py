"""Sends orders to laboratories: in their order, never twice, and never forgotten when the answer is lost."""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from backend.apps.core.sealed import written
from backend.apps.core.work import WorkState
from backend.apps.laboratory import answering, sending
from backend.apps.laboratory.models import LabFeed, LabOrderMessage, OrderControl, OrderMessageStatus
from backend.apps.laboratory.models.order_messages import ANSWERED, NEVER_TAKEN
from integrations.errors import Permanent, Transient, Unknown
from integrations.hl7 import answers, orders
from integrations.hl7.answers import Answer
from integrations.hl7.mllp import MllpClient
from integrations.hl7.order_records import OrderedTest
from integrations.hl7.reader import Message, NotHl7
from workers import gateways
from workers.beats import beating
from workers.celery_app import app
from workers.records import answers as answer_records
from workers.records import orders as order_records
from workers.runner import NotNeeded, drain

Status = OrderMessageStatus
BATCH = 20  # each may take half a minute when a laboratory is slow
TURN_S, HELD_S = 20.0, 300.0
AGAIN = frozenset({"AE", "CE"})
ACKNOWLEDGED = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})  # table 0008


@app.task(name="lab_orders.send")  # type: ignore[untyped-decorator]  # Celery has no types
def send_due() -> str:
    return drain(LabOrderMessage, functools.partial(send, silent=set()), batch=BATCH)


@app.task(name="lab_orders.watch")  # type: ignore[untyped-decorator]  # Celery has no types
def watch() -> str:
    """Tell of orders a person has to look at; safe to run twice, for each is one alert."""
    with beating("orders in trouble"):
        told = sending.tell(timezone.now())
    return f"told of {told}"


def send(message: LabOrderMessage, *, silent: set[UUID]) -> dict[str, Any]:
    """Send one message and note what the laboratory answers; return the fields to save with success.

    Never runs twice after it began to speak: the bytes and the beginning are committed first, and a message whose
    worker died after that is held for a person (`replay_safe` is False). When a person sends it again the control id is
    the same. silent: feeds that could not be reached in this run; their other messages wait without trying.
    """
    lease = message.lease_no
    row = LabOrderMessage.objects.select_related("lab_order__patient", "lab_order__doctor__user", "feed").get(
        pk=message.pk
    )
    _wait_for_turn(row, message)
    if row.feed_id in silent:
        raise Transient("not tried: not reached a moment ago", code="mllp:unreached")
    client = _client(row)
    raw = bytes(row.raw) if row.may_have_left else _written(row, lease)
    try:
        ack = client.send(raw)
    except Transient:
        silent.add(row.feed_id)
        LabOrderMessage.work.filter(pk=row.pk, lease_no=lease).update(sent_at=row.sent_at)
        raise
    except Unknown:
        return _lost(row)
    return _answered(row, ack)


def _wait_for_turn(row: LabOrderMessage, leased: LabOrderMessage) -> None:
    """Let the earlier messages of the order go first; waiting uses up no attempt."""
    if row.control == OrderControl.CANCEL:
        sending.withdraw_before(row)
    earlier = list(sending.before(row).defer("raw", "ack"))
    open_states = {one.work_state for one in earlier} & {WorkState.WAITING, WorkState.RUNNING, WorkState.HELD}
    if open_states:
        LabOrderMessage.work.filter(pk=row.pk, lease_no=leased.lease_no).update(attempts=0)
        leased.attempts = 0
        wait_s = HELD_S if open_states == {WorkState.HELD} else TURN_S
        raise Transient("an earlier message of this order comes first", code="order:turn", retry_after_s=wait_s)
    if earlier and all(one.status in NEVER_TAKEN for one in earlier):
        if row.control == OrderControl.CANCEL:
            gone = "The laboratory never had the order."
            raise NotNeeded(gone, status=Status.WITHDRAWN, status_reason=gone)
        row.control = OrderControl.NEW


def _written(row: LabOrderMessage, lease_no: int) -> bytes:
    """Return the bytes to send, committed before any of them leaves."""
    if not row.feed.order_message or not row.feed.is_active or row.feed.is_deleted:
        raise Permanent("orders are not sent to this laboratory any more", code="order:feed")
    now = timezone.now()
    try:
        raw = bytes(row.raw) or orders.build(
            order_records.order(row, _told(row)),
            order_records.envelope(row, at=now, in_production=settings.IN_PRODUCTION),
        )
    except orders.NotInThisVersion as reason:
        raise Permanent(str(reason), code="order:version") from None
    ours = LabOrderMessage.work.filter(pk=row.pk, lease_no=lease_no, work_state=WorkState.RUNNING)
    if not ours.update(**written(LabOrderMessage, row.pk, raw=raw), sent_at=now, control=row.control):
        raise Transient("another worker has it", code="order:lease")
    return raw


def _told(row: LabOrderMessage) -> tuple[OrderedTest, ...]:
    """Return what the laboratory was last told of the tests of this order."""
    taken = sending.before(row).exclude(status__in=NEVER_TAKEN).last()
    return orders.asked(bytes(taken.raw)) if taken else ()


def _client(row: LabOrderMessage) -> MllpClient:
    return gateways.laboratory(row.feed.order_host, row.feed.order_port or 0, tls=row.feed.order_tls)


def _answered(row: LabOrderMessage, ack: bytes) -> dict[str, Any]:
    """Note the answer. One that is not to this message says nothing about it: it may have arrived."""
    now = timezone.now()
    answer = _read(ack, row.feed)
    kept = written(LabOrderMessage, row.pk, ack=ack)
    LabOrderMessage.work.filter(pk=row.pk).update(**kept, ack_code=answer.code if answer else "")
    if answer is None or answer.answers != row.control_id:
        _client(row).close()  # whatever comes next on this connection may be late by one
        return _lost(row, code="order:answer")
    if answer.code in AGAIN and not any(part.verdict for part in answer.parts):
        raise Transient("the laboratory asks to try again later", code=f"hl7:{answer.code}")
    told = answer_records.answer(answer, came_at=now, feed_id=row.feed_id)
    try:
        answering.take(told)
    except answering.Unlinked:
        return _lost(row, code="order:number")
    return {}


def _read(ack: bytes, feed: LabFeed) -> Answer | None:
    """Return what an answer says; None where it is none, or none with a code of the table."""
    try:
        answer = answers.read(Message(ack, feed.charset), default_tz=feed.zone)
    except NotHl7:
        return None
    return answer if answer.code in ACKNOWLEDGED else None


def _lost(row: LabOrderMessage, code: str = "mllp:lost") -> dict[str, Any]:
    """Hold the message for a person, unless the laboratory has answered it another way meanwhile."""
    if LabOrderMessage.objects.filter(pk=row.pk, status__in=ANSWERED).exists():
        return {}
    raise Unknown("sent, but no answer to it came", code=code)
