"""What went to which partner, with its bytes; without these nothing proves what was sent, or that it went once."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.roles import Role
from backend.apps.core.sealed import SealedBytesField
from backend.apps.core.work import WorkItem, WorkState, work_indexes
from backend.apps.insurance.models.claims import InsuranceClaim
from backend.apps.insurance.models.partners import TradingPartner

DESK = frozenset({Role.RECEPTIONIST})


class InterchangeStatus(models.TextChoices):
    READY = "ready", "ready to go"
    STAGED = "staged", "put under its hidden name"
    SPEAKING = "speaking", "being handed over"
    SENT = "sent"
    IN_DOUBT = "in_doubt", "perhaps sent"
    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"


class Interchange(ClinicModel, WorkItem):
    """One file for a partner: its bytes and numbers are stored before anybody is spoken to, and never change.

    SFTP and folders go ready, staged, sent; a partner without rename goes ready, speaking, sent, and a worker that dies
    while it speaks leaves it in doubt. `work_state` is held while a person has to decide.
    """

    Status = InterchangeStatus

    class Kind(models.TextChoices):
        CLAIMS = "837P"
        ELIGIBILITY = "270"
        STATUS = "276"

    task_name: ClassVar[str] = "claims.transmit"
    replay_safe: ClassVar[bool] = True
    access: ClassVar[scope.Access] = scope.Access(sees_all=DESK)

    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="interchanges")
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.CLAIMS, editable=False)
    interchange_number = models.PositiveIntegerField(editable=False)  # ISA13
    group_number = models.PositiveIntegerField(editable=False)  # GS06
    file_name = models.CharField(max_length=120, editable=False)
    content = SealedBytesField(editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    size_bytes = models.PositiveIntegerField(editable=False)
    transactions = models.PositiveIntegerField(default=0, editable=False)
    items = models.PositiveIntegerField(default=0, editable=False, help_text="Claims or questions in it.")
    status = models.CharField(
        max_length=12,
        choices=InterchangeStatus,
        default=InterchangeStatus.READY,
        db_default=InterchangeStatus.READY,
        editable=False,
    )
    status_reason = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    staged_at = models.DateTimeField(null=True, editable=False)
    staged_where = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)  # a digest
    spoken_at = models.DateTimeField(null=True, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    ta1_at = models.DateTimeField(null=True, editable=False)
    ta1_code = models.CharField(max_length=1, blank=True, default="", db_default="", editable=False)
    ta1_note = models.CharField(max_length=3, blank=True, default="", db_default="", editable=False)
    acknowledged_at = models.DateTimeField(null=True, editable=False, help_text="The first 999.")

    class Meta(ClinicModel.Meta):
        verbose_name = "file for a partner"
        verbose_name_plural = "files for partners"
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(fields=["partner", "interchange_number"], name="insurance_interchange_number_once"),
            models.UniqueConstraint(fields=["partner", "group_number"], name="insurance_interchange_group_once"),
            models.UniqueConstraint(fields=["partner", "file_name"], name="insurance_interchange_name_once"),
            models.CheckConstraint(
                condition=Q(status__in=InterchangeStatus.values), name="insurance_interchange_status_known"
            ),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="insurance_interchange_work_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("interchange"),
            models.Index(fields=["status", "-created_at"], name="interchange_status"),
            models.Index(fields=["partner", "-created_at"], name="interchange_partner"),
            models.Index(fields=["-created_at", "id"], name="interchange_newest"),
            models.Index(fields=["kind", "-created_at"], name="interchange_kind"),
            models.Index(fields=["sha256"], name="interchange_sha256"),
            models.Index(fields=["work_state", "-created_at"], name="interchange_work_state"),
        ]


class SubmissionStatus(models.TextChoices):
    QUEUED = "queued"
    BATCHED = "batched", "in a file"
    SENT = "sent"
    PENDING = "pending", "taken in"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ADJUDICATED = "adjudicated"
    WITHDRAWN = "withdrawn"
    REQUEUED = "requeued", "sent again in another file"


LIVE = (
    SubmissionStatus.QUEUED,
    SubmissionStatus.BATCHED,
    SubmissionStatus.SENT,
    SubmissionStatus.PENDING,
    SubmissionStatus.ACCEPTED,
)


class Submission(ClinicModel):
    """One try to bring a claim to its payer. Queued, it waits for the next file; then it has a place in one."""

    Status = SubmissionStatus

    access: ClassVar[scope.Access] = scope.of_patient("claim__patient_insurance__patient")

    claim = models.ForeignKey(InsuranceClaim, on_delete=models.PROTECT, related_name="submissions")
    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="+", db_index=False)
    interchange = models.ForeignKey(Interchange, null=True, on_delete=models.PROTECT, related_name="submissions")
    status = models.CharField(
        max_length=11,
        choices=SubmissionStatus,
        default=SubmissionStatus.QUEUED,
        db_default=SubmissionStatus.QUEUED,
        editable=False,
    )
    status_reason = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    frequency = models.CharField(max_length=1, default="1", editable=False)
    original_reference = models.CharField(max_length=50, blank=True, default="", db_default="", editable=False)  # F8
    claim_control_number = models.CharField(max_length=20, blank=True, default="", db_default="", editable=False)
    transaction_number = models.CharField(max_length=9, blank=True, default="", db_default="", editable=False)  # ST02
    batch_reference = models.CharField(max_length=30, blank=True, default="", db_default="", editable=False)  # BHT03
    first_segment = models.PositiveIntegerField(null=True, editable=False)  # places in its ST, which is segment 1
    last_segment = models.PositiveIntegerField(null=True, editable=False)
    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["claim", "frequency", "original_reference"],
                condition=Q(status__in=LIVE),
                name="insurance_submission_one_live",
                violation_error_message="This claim is on its way already.",
            ),
            models.CheckConstraint(
                condition=Q(status__in=SubmissionStatus.values), name="insurance_submission_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "withdrawn"]) | Q(interchange__isnull=False),
                name="insurance_submission_in_a_file",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["partner", "queued_at"], name="submission_queue", condition=Q(status="queued")),
            models.Index(fields=["claim_control_number"], name="submission_clm01"),
            models.Index(fields=["batch_reference"], name="submission_batch"),
            models.Index(fields=["status", "sent_at"], name="submission_status"),
            models.Index(fields=["-created_at", "id"], name="submission_newest"),
        ]
