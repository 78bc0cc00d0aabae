"""What came back from partners, as it came; without these an acknowledgement could count twice or get lost."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, uuid7
from backend.apps.core.sealed import SealedBytesField
from backend.apps.core.work import WorkItem, WorkState, work_indexes
from backend.apps.insurance.models.claims import InsuranceClaim
from backend.apps.insurance.models.partners import TradingPartner
from backend.apps.insurance.models.submissions import DESK, Interchange, Submission


class InboundFileStatus(models.TextChoices):
    RECEIVED = "received"
    APPLIED = "applied"
    PARTLY = "partly", "applied, with parts for a person"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"


class InboundFile(ClinicModel, WorkItem):
    """One file a partner left for us, stored before it is read and deleted there after that at most."""

    Status = InboundFileStatus

    task_name: ClassVar[str] = "claims.read"
    replay_safe: ClassVar[bool] = True
    access: ClassVar[scope.Access] = scope.Access(sees_all=DESK)

    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="inbound_files")
    name = models.CharField(max_length=255, editable=False)
    size_bytes = models.PositiveIntegerField(editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    content = SealedBytesField(editable=False)
    container = models.ForeignKey(
        "self", null=True, editable=False, on_delete=models.PROTECT, related_name="members", help_text="Its zip."
    )
    kinds = models.CharField(max_length=60, blank=True, default="", db_default="", editable=False)  # "999,277CA"
    status = models.CharField(
        max_length=11,
        choices=InboundFileStatus,
        default=InboundFileStatus.RECEIVED,
        db_default=InboundFileStatus.RECEIVED,
        editable=False,
    )
    status_reason = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    findings = models.JSONField(default=list, editable=False)  # sentences without values
    received_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, editable=False)
    removed_at = models.DateTimeField(null=True, editable=False, help_text="When it was deleted at the partner.")

    class Meta(ClinicModel.Meta):
        verbose_name = "file from a partner"
        verbose_name_plural = "files from partners"
        ordering = ["-received_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["partner", "name", "size_bytes", "sha256"], name="insurance_inboundfile_once"
            ),
            models.CheckConstraint(
                condition=Q(status__in=InboundFileStatus.values), name="insurance_inboundfile_status_known"
            ),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="insurance_inboundfile_work_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("inboundfile"),
            models.Index(fields=["status", "-received_at"], name="inboundfile_status"),
            models.Index(fields=["partner", "-received_at"], name="inboundfile_partner"),
            models.Index(fields=["-received_at", "id"], name="inboundfile_newest"),
            models.Index(fields=["sha256"], name="inboundfile_sha256"),
        ]


class Stage(models.IntegerChoices):
    """How late in a claim's life a word is said: a later stage is not undone by an earlier one."""

    SENT = 10, "sent"
    INTERCHANGE = 20, "TA1"
    SYNTAX = 30, "999"
    CLEARINGHOUSE = 40, "277CA of the clearinghouse"
    PAYER = 50, "277CA of the payer"
    STATUS = 55, "277"
    PAYMENT = 60, "835"


class AckEvent(models.Model):
    """One word of a partner about a claim, a transaction or a file; the same segment of the same bytes counts once.

    code: the verdict as its kind writes it ("A", "R", "A2", "1"); details: further codes, ["A7:507:IL", ...], no text.
    `was_applied`: whether it moved the claim; an earlier stage that comes late, or a replay, does not.
    """

    access: ClassVar[scope.Access] = scope.Access(
        patient="claim__patient_insurance__patient_id", patient_user="claim__patient_insurance__patient__user"
    )

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="+", db_index=False)
    file = models.ForeignKey(InboundFile, on_delete=models.PROTECT, related_name="events")
    interchange = models.ForeignKey(Interchange, null=True, on_delete=models.PROTECT, related_name="events")
    submission = models.ForeignKey(Submission, null=True, on_delete=models.PROTECT, related_name="events")
    claim = models.ForeignKey(InsuranceClaim, null=True, on_delete=models.PROTECT, related_name="events")
    stage = models.PositiveSmallIntegerField(choices=Stage)
    kind = models.CharField(max_length=5)  # TA1, 999, 277CA, 277, 835
    code = models.CharField(max_length=12)
    details = models.JSONField(default=list)
    payer_claim_number = models.CharField(max_length=50, default="")
    event_on = models.DateField(null=True)
    file_sha256 = models.CharField(max_length=64)
    transaction_number = models.CharField(max_length=9, default="")  # ST02 of the answer
    segment_index = models.PositiveIntegerField()  # from the start of the file
    was_applied = models.BooleanField(default=False)

    class Meta:
        ordering = ["created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["partner", "file_sha256", "transaction_number", "segment_index", "claim"],
                nulls_distinct=False,
                name="insurance_ackevent_once",
            ),
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="insurance_ackevent_stage_known"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["claim", "stage", "event_on"], name="ackevent_claim"),
            models.Index(fields=["-created_at", "id"], name="ackevent_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.code}"
