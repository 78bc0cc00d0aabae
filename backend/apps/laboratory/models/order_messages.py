"""Every order that went out to a laboratory as a message; without it nobody could say whether it arrived."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.sealed import SealedBytesField
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class OrderControl(models.TextChoices):
    """What the message asks. HL7 table 0119."""

    NEW = "NW", "new order"
    CANCEL = "CA", "cancel"
    CHANGE = "XO", "change"


class OrderMessageStatus(models.TextChoices):
    WAITING = "waiting", "not sent yet"
    SENT = "sent", "received, no answer yet"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNABLE = "unable", "the laboratory cannot do it"
    CANCELLED_BY_LAB = "cancelled_by_lab", "cancelled by the laboratory"
    WITHDRAWN = "withdrawn", "withdrawn before it left"
    UNCERTAIN = "uncertain", "nobody knows whether it arrived"
    FAILED = "failed", "could not be sent"


Status = OrderMessageStatus
ANSWERED = (Status.ACCEPTED, Status.REJECTED, Status.UNABLE, Status.CANCELLED_BY_LAB)
TROUBLES = (Status.REJECTED, Status.UNABLE, Status.CANCELLED_BY_LAB, Status.UNCERTAIN, Status.FAILED)
NEVER_TAKEN = (Status.REJECTED, Status.WITHDRAWN, Status.FAILED)  # the laboratory does not have what it said
# Of two answers of the same moment the one that counts: whoever sees trouble looks, whoever sees none does not.
RANK = {Status.ACCEPTED: 1, Status.REJECTED: 2, Status.UNABLE: 3, Status.CANCELLED_BY_LAB: 4}
SAYS: dict[str, tuple[OrderMessageStatus, str]] = {
    WorkState.WAITING: (Status.WAITING, ""),
    WorkState.HELD: (
        Status.UNCERTAIN,
        "It may have arrived, but no answer came. Ask the laboratory, then resend it or mark it as arrived.",
    ),
    WorkState.FAILED: (Status.FAILED, "The laboratory could not be reached, or did not take it."),
}


class LabOrderMessage(ClinicModel, WorkItem):
    """One message about one order, and its place in line. `revision` is its place among those of the order.

    `raw` is committed before a byte leaves, and a trigger keeps it from then on: `sent_at` is when it may have begun to
    leave. The answer that counts is the latest in detail (ORL, ORR), else the plain acknowledgement.
    """

    Status = OrderMessageStatus
    Control = OrderControl

    task_name: ClassVar[str] = "lab_orders.send"
    access: ClassVar[scope.Access] = scope.Access(
        patient="lab_order__patient_id", doctor_user="lab_order__doctor__user"
    )

    lab_order = models.ForeignKey(
        "laboratory.LabOrder", editable=False, on_delete=models.PROTECT, related_name="messages"
    )
    feed = models.ForeignKey(
        "laboratory.LabFeed", editable=False, on_delete=models.PROTECT, related_name="order_messages"
    )
    revision = models.PositiveSmallIntegerField(editable=False)
    control = models.CharField(max_length=2, choices=Control, editable=False)
    control_id = models.CharField(max_length=40, unique=True, editable=False)
    raw = SealedBytesField(default=b"", db_default=b"", editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    ack = SealedBytesField(default=b"", db_default=b"", editable=False)  # the last one that came, as it came
    ack_code = models.CharField(max_length=2, blank=True, editable=False)
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING, editable=False)
    status_reason = models.CharField(max_length=300, blank=True, editable=False)
    answered_at = models.DateTimeField(null=True, blank=True, editable=False)  # by the laboratory's clock
    answer_in_detail = models.BooleanField(default=False, editable=False)
    answer = models.ForeignKey(
        "laboratory.InboundMessage", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    settled_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    settled_at = models.DateTimeField(null=True, blank=True, editable=False)  # when a person decided about it
    told_at = models.DateTimeField(null=True, blank=True, editable=False)  # when its trouble became an alert

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(fields=["lab_order", "revision"], name="laboratory_labordermessage_once"),
            models.CheckConstraint(
                condition=Q(status__in=OrderMessageStatus.values), name="laboratory_labordermessage_status_known"
            ),
            models.CheckConstraint(
                condition=Q(control__in=OrderControl.values), name="laboratory_labordermessage_control_known"
            ),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="laboratory_labordermessage_work_known"
            ),
            models.CheckConstraint(
                condition=Q(sent_at__isnull=True) | ~Q(raw=b""), name="laboratory_labordermessage_sent_is_kept"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("ordermessage"),
            models.Index(fields=["-created_at", "id"], name="ordermessage_newest"),
            models.Index(fields=["status", "-created_at"], name="ordermessage_status"),
            models.Index(fields=["feed", "-created_at"], name="ordermessage_feed"),
            models.Index(fields=["work_state", "-created_at"], name="ordermessage_work_state"),
            models.Index(
                fields=["updated_at"],
                name="ordermessage_untold",
                condition=Q(status__in=TROUBLES, told_at__isnull=True),
            ),
        ]

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        """An answer that came another way meanwhile stands, whatever the machine saw of it."""
        if state not in SAYS:
            return {}
        status, reason = SAYS[state]
        answered = When(status__in=ANSWERED, then=F("status"))
        told = When(status__in=ANSWERED, then=F("status_reason"))
        return {"status": Case(answered, default=Value(status)), "status_reason": Case(told, default=Value(reason))}

    @property
    def admin_label(self) -> str:
        return self.control_id

    @property
    def may_have_left(self) -> bool:
        return self.sent_at is not None

    def resend(self, by: Any) -> None:
        """Put a message that failed, was refused or may be lost back in line: same bytes, same control id."""
        if self.status not in (Status.UNCERTAIN, Status.FAILED, Status.REJECTED):
            raise DomainError(f"This message is {self.get_status_display()}; there is nothing to send again.")
        rest = (WorkState.HELD, WorkState.FAILED, WorkState.DONE)
        again = {"status": Status.WAITING, "answered_at": None, "answer_in_detail": False, "answer": None}
        rows = type(self).work.filter(pk=self.pk, status=self.status, work_state__in=rest)
        if not rows.update(**again) or not type(self).work.back_in_line(self.pk, at_rest=rest):
            raise Conflict("Someone else has just decided about this message.")
        self._settle_by(by)

    def mark_as_arrived(self, by: Any) -> None:
        """Note that the laboratory has it, as somebody there said."""
        if self.status != Status.UNCERTAIN:
            raise DomainError(f"This message is {self.get_status_display()}; that is known already.")
        now = timezone.now()
        rows = type(self).work.filter(pk=self.pk, status=Status.UNCERTAIN, work_state=WorkState.HELD)
        told = {"status": Status.ACCEPTED, "status_reason": "The laboratory has it, as a person said."}
        if not rows.update(**told, work_state=WorkState.DONE, last_error="", updated_at=now):
            raise Conflict("Someone else has just decided about this message.")
        self._settle_by(by)

    def outranks(self, *, in_detail: bool, at: datetime, status: str) -> bool:
        """Return whether the answer this row has counts more than another; any order of answers ends the same."""
        if self.status not in ANSWERED or self.answered_at is None:
            return False
        mine = (self.answer_in_detail, self.answered_at, RANK[OrderMessageStatus(self.status)])
        return mine >= (in_detail, at, RANK.get(OrderMessageStatus(status), 0))

    def _settle_by(self, by: Any) -> None:
        now = timezone.now()
        type(self).work.filter(pk=self.pk).update(settled_by=by, settled_at=now, told_at=None, updated_at=now)
        self.refresh_from_db()
