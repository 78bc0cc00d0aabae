"""Every message a laboratory sent, as it came; without this nothing proves what was received and what became of it."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Length, Now
from django.db.models.lookups import Exact
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.keyring import OVERHEAD
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.core.sealed import SealedBytesField
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class InboundStatus(models.TextChoices):
    RECEIVED = "received"
    FILED = "filed"
    WORKLIST = "worklist", "on the worklist"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


RETRIED = (InboundStatus.WORKLIST, InboundStatus.REJECTED)
AT_REST = (WorkState.DONE, WorkState.FAILED, WorkState.HELD)


class InboundMessage(ClinicModel, WorkItem):
    """One message, and its place in line for filing. `status` is its outcome, `work_state` how far the machine is.

    The same message under the same control id is the same row (`repeats` counts, `dedupe_key` holds it); another
    message that reuses a control id is a row of its own, flagged `conflict`. A trigger keeps `raw` as it was received.
    """

    Status = InboundStatus

    task_name: ClassVar[str] = "lab_results.file"
    replay_safe: ClassVar[bool] = True
    access: ClassVar[scope.Access] = scope.Access(patient="patient_id", sees_all=frozenset({Role.LAB_TECH}))

    raw = SealedBytesField(editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    size_bytes = models.PositiveIntegerField(editable=False)
    received_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    peer = models.CharField(max_length=60, blank=True, db_default="", editable=False)
    sending_application = models.CharField(max_length=250, blank=True, db_default="", editable=False)
    sending_facility = models.CharField(max_length=250, blank=True, db_default="", editable=False)
    control_id = models.CharField(max_length=250, blank=True, db_default="", editable=False)
    message_type = models.CharField(max_length=60, blank=True, db_default="", editable=False)
    version = models.CharField(max_length=60, blank=True, db_default="", editable=False)
    ack_code = models.CharField(max_length=2, blank=True, db_default="", editable=False)
    status = models.CharField(
        max_length=9, choices=Status, default=Status.RECEIVED, db_default=Status.RECEIVED, editable=False
    )
    status_reason = models.CharField(max_length=300, blank=True, db_default="", editable=False)
    conflict = models.BooleanField(default=False, db_default=False, editable=False)
    repeats = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    feed = models.ForeignKey(
        "laboratory.LabFeed",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="inbound_messages",
        db_index=False,  # Meta has a better one
        db_constraint=False,  # it costs PostgreSQL 8 us a message, a tenth: a lock on the row of the feed for each
    )
    ack_sent = SealedBytesField(  # on receipt, as it went out
        default=b"", db_default=b"", editable=False, bound_to="dedupe_key"
    )
    application_ack = models.CharField(max_length=2, blank=True, db_default="", editable=False)  # after filing
    application_ack_at = models.DateTimeField(null=True, blank=True, editable=False)
    findings = models.JSONField(default=list, db_default=Value([], models.JSONField()), editable=False)  # no values
    filed_at = models.DateTimeField(null=True, blank=True, editable=False)
    assigned_patient = models.ForeignKey(
        "patients.Patient",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="Whose it is, as a person said from the worklist.",
    )
    settled_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    settled_at = models.DateTimeField(null=True, blank=True, editable=False)  # when a person assigned or skipped it
    patient = models.ForeignKey(
        "patients.Patient",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="inbound_messages",
        db_index=False,
    )

    class Meta(ClinicModel.Meta):
        ordering = ["-received_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(status__in=InboundStatus.values), name="laboratory_inboundmessage_status_known"
            ),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="laboratory_inboundmessage_work_known"
            ),
            models.CheckConstraint(condition=Exact(Length("sha256"), 64), name="laboratory_inboundmessage_hash_form"),
            models.CheckConstraint(
                condition=Q(size_bytes=0, raw=b"") | Q(Exact(F("size_bytes") + OVERHEAD, Length("raw"))),
                name="laboratory_inboundmessage_size_true",
            ),
            models.CheckConstraint(
                condition=Q(ack_code__in=["", "AA", "AE", "AR", "CA", "CE", "CR"]),
                name="laboratory_inboundmessage_ack_known",
            ),
        ]
        # Each index costs every message time at the door. What most rows come to (filed, done) is found by the newest.
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("inbound"),
            models.Index(fields=["status", "-received_at"], name="inbound_status", condition=~Q(status="filed")),
            models.Index(
                fields=["patient", "-received_at"], name="inbound_patient", condition=Q(patient__isnull=False)
            ),
            models.Index(fields=["control_id"], name="inbound_control_id"),
            models.Index(
                fields=["work_state", "-received_at"],
                name="inbound_work_state",
                condition=Q(work_state__in=[WorkState.FAILED, WorkState.HELD]),
            ),
            models.Index(
                fields=["assigned_patient"], name="inbound_assigned", condition=Q(assigned_patient__isnull=False)
            ),
            models.Index(fields=["settled_by"], name="inbound_settled", condition=Q(settled_by__isnull=False)),
            models.Index(fields=["-received_at", "id"], name="inbound_newest"),
            models.Index(fields=["feed", "-received_at"], name="inbound_feed"),
            models.Index(fields=["-received_at"], name="inbound_conflict", condition=Q(conflict=True)),
        ]

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        if state in {WorkState.FAILED, WorkState.HELD}:
            reason = "The machine could not file this message; a person has to look at it."
            return {"status": InboundStatus.WORKLIST, "status_reason": reason}
        return {"status": InboundStatus.RECEIVED, "status_reason": ""} if state == WorkState.WAITING else {}

    @property
    def usual_charset(self) -> str:
        """The charset of a message whose MSH-18 is empty, as its feed says."""
        return self.feed.charset if self.feed else ""

    @property
    def zone(self) -> tzinfo:
        """The zone of times without an offset: the laboratory's own, else the clinic's."""
        return self.feed.zone if self.feed else Clinic.current().zone

    @property
    def sender(self) -> str:
        """The laboratory's own name for itself."""
        return self.sending_facility or self.sending_application

    def retry(self) -> None:
        """Put a message that was not filed back in line, with fresh attempts."""
        if self.status not in RETRIED:
            raise DomainError(f"This message is {self.status}; there is nothing to retry.")
        if not type(self).work.filter(status__in=RETRIED).back_in_line(self.pk, at_rest=AT_REST):
            raise Conflict("Someone else has just put this message back in line.")
        self.refresh_from_db(fields=["status", "status_reason", "work_state", "attempts", "due_at", "updated_at"])
