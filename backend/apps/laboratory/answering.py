"""Takes what laboratories answer to our orders; without it an order that was refused would look like one on its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.work import WorkState
from backend.apps.laboratory import statuses
from backend.apps.laboratory.models import (
    FillerNumber,
    InboundMessage,
    LabOrder,
    LabOrderMessage,
    LabResult,
    OrderControl,
    OrderMessageStatus,
    OrderStatus,
    ReportedPanel,
)
from backend.apps.laboratory.models.order_messages import TROUBLES
from backend.apps.laboratory.panels import Panels, Said, by_number
from backend.apps.laboratory.sending import cause_of, wake_next
from backend.apps.patients.models import Patient

Status = OrderMessageStatus
DONE, UNABLE, CANCELLED = "done", "unable", "cancelled"
REFUSALS = frozenset({"AE", "AR", "CE", "CR"})
COULD_NOT = {
    OrderControl.NEW: "The laboratory cannot do {of}",
    OrderControl.CHANGE: "The laboratory could not change {of}",
    OrderControl.CANCEL: "The laboratory could not cancel {of} any more",
}


class Unlinked(Exception):
    """A person has to see what this answers; the reason is a sentence without patient data."""


@dataclass(frozen=True, slots=True, repr=False)
class PartIn:
    """What is said about one test. verdict: DONE, UNABLE, CANCELLED, or empty where nothing was decided.

    placer, filler: the order's numbers here and there. asked: the control of ours it answers, where it tells.
    """

    verdict: str
    placer: str
    filler: str = ""
    asked: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class AnswerIn:
    """One answer. code: MSA-1, answers: the control id it is an answer to; both empty in a message of the lab's own.

    at: by the laboratory's clock, aware. reason: why it was refused, in fixed words. sender: its own name for itself.
    source: the stored message; None when it came back over our own connection.
    """

    code: str
    answers: str
    at: datetime
    sender: str
    feed_id: UUID | None
    reason: str = ""
    parts: tuple[PartIn, ...] = ()
    source: InboundMessage | None = None


@transaction.atomic
def take(answer: AnswerIn) -> Patient:
    """Note what a laboratory answered with the message and the order it is about; return whose order it is.

    Any order and repetition of the same answers ends in the same rows: of several the one counts that tells of the
    tests in detail, then the latest, then the one with the worst news. Locks: the patient, then orders by key.

    Raises:
        Unlinked: it answers nothing we sent to this laboratory.
    """
    linked = _linked(answer)
    patients = {row.lab_order.patient_id for row, _ in linked}
    if len(patients) > 1:
        raise Unlinked("It is about orders of several patients.")
    patient = Patient.all_objects.select_for_update(no_key=True).get(pk=patients.pop())
    wanted = [row.lab_order_id for row, _ in linked]
    orders = LabOrder.all_objects.select_for_update(no_key=True).order_by("pk").in_bulk(wanted)
    for row, parts in linked:
        row.refresh_from_db()
        row.lab_order = orders[row.lab_order_id]
        _take(row, parts, answer)
    return patient


def _linked(answer: AnswerIn) -> list[tuple[LabOrderMessage, Sequence[PartIn]]]:
    """Return the messages this answers, each with what is said about it: by control id, else by order number."""
    rows = LabOrderMessage.objects.select_related("lab_order").defer("raw", "ack")
    row = rows.filter(control_id=answer.answers).first() if answer.answers else None
    if row is not None:
        if any(part.placer not in ("", row.lab_order.order_number) for part in answer.parts):
            raise Unlinked("The order number in it is not the one of the message it answers.")
        found: list[tuple[LabOrderMessage, Sequence[PartIn]]] = [(row, answer.parts)]
    else:
        found = _by_number(answer)
    if not found:
        raise Unlinked("It answers no order that was sent from here.")
    if answer.feed_id is not None and any(row.feed_id != answer.feed_id for row, _ in found):
        raise Unlinked("It answers an order that was sent to another laboratory.")
    return found


def _by_number(answer: AnswerIn) -> list[tuple[LabOrderMessage, Sequence[PartIn]]]:
    found: list[tuple[LabOrderMessage, Sequence[PartIn]]] = []
    for number in sorted({part.placer for part in answer.parts} - {""}):
        parts = [part for part in answer.parts if part.placer == number]
        asked = next((part.asked for part in parts if part.asked), "")
        rows = LabOrderMessage.objects.filter(lab_order__order_number=number)
        rows = rows.filter(control=asked) if asked else rows.exclude(control=OrderControl.CANCEL)
        row = rows.select_related("lab_order").defer("raw", "ack").order_by("-revision").first()
        if row is not None:
            found.append((row, parts))
    return found


def _take(row: LabOrderMessage, parts: Sequence[PartIn], answer: AnswerIn) -> None:
    for part in parts:
        if part.filler:
            _know(row.lab_order, part.filler, answer.sender)
    status, reason = _decided(row, parts, answer)
    if status is None:
        _note(row, {"status": Status.SENT}, only_if=Status.WAITING)
        return
    in_detail = any(part.verdict for part in parts)
    if row.outranks(in_detail=in_detail, at=answer.at, status=status):
        return
    changes = {"status": status, "status_reason": reason, "answered_at": answer.at, "answer_in_detail": in_detail}
    _note(row, {**changes, "answer": answer.source, "told_at": None})
    if status not in TROUBLES:
        alerts.clear(cause_of(row))
    if row.control != OrderControl.CANCEL:
        _follow(row.lab_order, status, answer.at)
    wake_next(row)


def _decided(row: LabOrderMessage, parts: Sequence[PartIn], answer: AnswerIn) -> tuple[OrderMessageStatus | None, str]:
    """Return what the answer makes of a message, and why; None when it was received and nothing is decided yet."""
    counts = Counter(part.verdict for part in parts)
    why = f" {answer.reason}" if answer.reason else ""
    if answer.code in REFUSALS:
        return Status.REJECTED, f"The laboratory refused it.{why}"
    if counts[UNABLE]:
        of = "it" if counts[UNABLE] == len(parts) else f"{counts[UNABLE]} of {len(parts)} tests"
        return Status.UNABLE, COULD_NOT[OrderControl(row.control)].format(of=of) + f".{why}"
    if counts[CANCELLED] and row.control != OrderControl.CANCEL:
        some = "" if counts[CANCELLED] == len(parts) else f" {counts[CANCELLED]} of {len(parts)} tests"
        status = Status.UNABLE if some else Status.CANCELLED_BY_LAB
        return status, f"The laboratory cancelled{some or ' it'}.{why}"
    if counts[DONE] or counts[CANCELLED] or answer.code == "AA":
        return Status.ACCEPTED, ""
    return None, ""


def _note(row: LabOrderMessage, changes: dict[str, Any], *, only_if: str = "") -> None:
    """Save an answer; a message that waited or was held needs no machine any more once the laboratory has decided."""
    rows = LabOrderMessage.work.filter(pk=row.pk)
    if only_if:
        rows = rows.filter(status=only_if)
    rows.update(**changes, updated_at=timezone.now())
    if not only_if:
        rows.exclude(work_state=WorkState.RUNNING).update(work_state=WorkState.DONE, last_error="")


def _follow(order: LabOrder, status: str, at: datetime) -> None:
    """Let the order say what the laboratory says, where no result says more."""
    order.refresh_from_db()
    if LabResult.objects.filter(lab_order=order).exists():
        return
    if status == Status.CANCELLED_BY_LAB:
        order.follow(OrderStatus.CANCELLED, at)
    elif order.status == OrderStatus.CANCELLED and order.cancelled_by_id is None:
        order.follow(OrderStatus.SPECIMEN_COLLECTED if order.specimen_collected_at else OrderStatus.ORDERED)


def _know(order: LabOrder, number: str, sender: str) -> None:
    """Note the laboratory's number of an order, so that a result under that number alone finds it.

    A number of several of our orders is the first one's, whichever answer came first. What was filed under the number
    alone moves along.
    """
    key = {"patient_id": order.patient_id, "sender": sender[:250], "number": number[:200]}
    known, made = FillerNumber.objects.get_or_create(**key, defaults={"lab_order": order})
    if made or (not known.lab_order.is_external and by_number(known.lab_order) <= by_number(order)):
        return
    FillerNumber.objects.filter(pk=known.pk).update(lab_order=order)
    rows = ReportedPanel.objects.filter(**key).select_related("patient")
    panels = Panels([Said.again(row, row.patient) for row in rows])
    panels.save()
    statuses.settle(list(panels.touched.values()), emptied=panels.emptied)
    panels.save_orders()
