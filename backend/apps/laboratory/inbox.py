"""What a person decides about a received message; without it what no machine could file would stay unfiled."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import InboundMessage, InboundStatus
from backend.apps.laboratory.models.inbound import AT_REST
from backend.apps.patients.models import Patient

SKIPPED = "Skipped: "
TAKEN = "Someone else or the machine has just taken this message; load it again."
NOBODY: dict[str, Any] = {"assigned_patient": None, "settled_by": None, "settled_at": None}


@transaction.atomic
def retry(message: InboundMessage, *, by: Any) -> InboundMessage:
    """Put a message that was not filed back in line; one that was skipped is no longer."""
    if message.status == InboundStatus.REJECTED and message.settled_at is not None:
        _at_rest(message, InboundStatus.REJECTED).update(settled_by=None, settled_at=None)
    message.retry()
    return _again(message)


@transaction.atomic
def assign(message: InboundMessage, *, by: Any, patient: Patient) -> InboundMessage:
    """Say whose a message on the worklist is, and put it back in line to be filed there."""
    if message.status != InboundStatus.WORKLIST:
        raise DomainError(f"This message is {message.status}; only one on the worklist is assigned to a patient.")
    if patient.is_deleted:
        raise DomainError("This patient has been removed or merged; choose the one who remains.")
    now = timezone.now()
    rows = _at_rest(message, InboundStatus.WORKLIST)
    if not rows.update(assigned_patient=patient, settled_by=by, settled_at=now, updated_at=now):
        raise Conflict(TAKEN)
    message.status = InboundStatus.WORKLIST
    message.retry()
    return _again(message)


@transaction.atomic
def unassign(message: InboundMessage, *, by: Any) -> InboundMessage:
    """Take an assignment back, as long as nothing was filed by it; the message waits for a person again."""
    if message.assigned_patient_id is None:
        raise DomainError("This message is assigned to nobody.")
    if message.status not in {InboundStatus.RECEIVED, InboundStatus.WORKLIST}:
        raise DomainError(f"This message is {message.status}; its assignment can no longer be taken back.")
    rows = InboundMessage.work.filter(pk=message.pk, status__in=[InboundStatus.RECEIVED, InboundStatus.WORKLIST])
    if not rows.exclude(work_state=WorkState.RUNNING).update(**NOBODY, updated_at=timezone.now()):
        raise Conflict(TAKEN)
    return _again(message)


@transaction.atomic
def skip(message: InboundMessage, *, by: Any, reason: str) -> InboundMessage:
    """Leave a message on the worklist unfiled, for a reason; `retry` is the way back."""
    if message.status != InboundStatus.WORKLIST:
        raise DomainError(f"This message is {message.status}; only one on the worklist is skipped.")
    if not reason.strip():
        raise DomainError("Say why this message is skipped.")
    now = timezone.now()
    told = f"{SKIPPED}{reason.strip()}"[:300]
    changes = {"status": InboundStatus.REJECTED, "status_reason": told, "settled_by": by, "settled_at": now}
    rows = _at_rest(message, InboundStatus.WORKLIST)
    if not rows.update(**changes, assigned_patient=None, work_state=WorkState.DONE, updated_at=now):
        raise Conflict(TAKEN)
    return _again(message)


def was_skipped(message: InboundMessage) -> bool:
    """Whether a person, not the machine, decided that this message is not filed."""
    return message.status == InboundStatus.REJECTED and message.settled_at is not None


def _at_rest(message: InboundMessage, status: str) -> QuerySet[InboundMessage]:
    """The row, only while it has this status and no machine has it."""
    return InboundMessage.work.filter(pk=message.pk, status=status, work_state__in=AT_REST)


def _again(message: InboundMessage) -> InboundMessage:
    message.refresh_from_db(fields=[
        "status", "status_reason", "work_state", "attempts", "last_error", "due_at", "assigned_patient", "settled_by",
        "settled_at", "updated_at",
    ])  # fmt: skip
    return message
