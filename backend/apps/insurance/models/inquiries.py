"""Questions to payers: whether a coverage holds, where a claim stands; without these somebody would have to phone."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.insurance.models.answers import InboundFile
from backend.apps.insurance.models.claims import InsuranceClaim
from backend.apps.insurance.models.coverage import PatientInsurance
from backend.apps.insurance.models.partners import TradingPartner
from backend.apps.insurance.models.submissions import Interchange


class InquiryStatus(models.TextChoices):
    QUEUED = "queued"
    BATCHED = "batched", "in a file"
    SENT = "sent"
    ANSWERED = "answered"
    REJECTED = "rejected", "the payer could not answer"
    EXPIRED = "expired", "no answer came"


OPEN = (InquiryStatus.QUEUED, InquiryStatus.BATCHED, InquiryStatus.SENT)


class Inquiry(ClinicModel):
    """trace: TRN02, by which the answer is found again. codes: what the answer said, in codes only."""

    Status = InquiryStatus

    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="+", db_index=False)
    interchange = models.ForeignKey(Interchange, null=True, on_delete=models.PROTECT, related_name="+")
    trace = models.CharField(max_length=30, unique=True, editable=False)
    status = models.CharField(max_length=8, choices=InquiryStatus, default=InquiryStatus.QUEUED, editable=False)
    queued_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    answered_at = models.DateTimeField(null=True, editable=False)
    answer_file = models.ForeignKey(
        InboundFile, null=True, editable=False, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    codes = models.JSONField(default=list, editable=False)

    class Meta(ClinicModel.Meta):
        abstract = True
        ordering = ["-created_at", "id"]


class EligibilityInquiry(Inquiry):
    access: ClassVar[scope.Access] = scope.of_patient("coverage__patient")

    coverage = models.ForeignKey(PatientInsurance, on_delete=models.PROTECT, related_name="inquiries")
    service_on = models.DateField()
    service_type = models.CharField(max_length=2, default="30", editable=False)
    is_active = models.BooleanField(null=True, editable=False)
    plan_from = models.DateField(null=True, editable=False)
    plan_to = models.DateField(null=True, editable=False)
    benefits = models.JSONField(default=list, editable=False)

    class Meta(Inquiry.Meta):
        verbose_name_plural = "eligibility inquiries"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["coverage", "service_on"],
                condition=Q(status__in=OPEN),
                name="insurance_eligibilityinquiry_one_open",
                violation_error_message="The payer is being asked about this day already.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["partner", "queued_at"], name="eligibility_queue", condition=Q(status="queued")),
            models.Index(fields=["status", "-created_at"], name="eligibility_status"),
            models.Index(fields=["-created_at", "id"], name="eligibility_newest"),
        ]


class StatusInquiry(Inquiry):
    access: ClassVar[scope.Access] = scope.of_patient("claim__patient_insurance__patient")

    claim = models.ForeignKey(InsuranceClaim, on_delete=models.PROTECT, related_name="status_inquiries")

    class Meta(Inquiry.Meta):
        verbose_name_plural = "status inquiries"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["claim"],
                condition=Q(status__in=OPEN),
                name="insurance_statusinquiry_one_open",
                violation_error_message="The payer is being asked about this claim already.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["partner", "queued_at"], name="statusinquiry_queue", condition=Q(status="queued")),
            models.Index(fields=["status", "-created_at"], name="statusinquiry_status"),
            models.Index(fields=["-created_at", "id"], name="statusinquiry_newest"),
        ]
