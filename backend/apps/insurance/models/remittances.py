"""What payers paid and why not, to the cent; without an append-only ledger a balance could not be explained."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, uuid7
from backend.apps.core.roles import Role
from backend.apps.core.sealed import SealedJSONField, SealedTextField
from backend.apps.insurance.models.answers import InboundFile
from backend.apps.insurance.models.claims import InsuranceClaim
from backend.apps.insurance.models.lines import ClaimLine
from backend.apps.insurance.models.partners import TradingPartner
from backend.apps.insurance.models.submissions import DESK


def dollars(*, null: bool = False) -> models.DecimalField:
    """Return a column for an amount that may be negative."""
    return models.DecimalField(max_digits=14, decimal_places=2, null=null)


class RemittanceStatus(models.TextChoices):
    POSTED = "posted"
    PARTLY = "partly", "posted, with claims for a person"
    QUARANTINED = "quarantined"
    DISMISSED = "dismissed"


class Remittance(ClinicModel):
    """One 835 transaction. The same payer, trace, day and amount is the same payment, in whatever file it comes."""

    Status = RemittanceStatus

    access: ClassVar[scope.Access] = scope.Access(sees_all=DESK)

    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="remittances")
    file = models.ForeignKey(InboundFile, on_delete=models.PROTECT, related_name="remittances")
    place = models.PositiveIntegerField(default=1)  # of its transaction in the file, from 1
    transaction_number = models.CharField(max_length=9)
    payer_identifier = models.CharField(max_length=30)  # TRN03
    payer_name = models.CharField(max_length=60, blank=True, default="")
    trace = models.CharField(max_length=50)  # TRN02: the number of the check or transfer
    paid_on = models.DateField()  # BPR16
    amount = dollars()  # BPR02
    method = models.CharField(max_length=3)  # BPR04
    claims_count = models.PositiveIntegerField(default=0)
    status = models.CharField(max_length=11, choices=RemittanceStatus)
    problem = models.CharField(max_length=300, blank=True, default="", help_text="The equation that fails.")
    findings = models.JSONField(default=list)
    posted_at = models.DateTimeField(null=True)

    class Meta(ClinicModel.Meta):
        ordering = ["-paid_on", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["payer_identifier", "trace", "paid_on", "amount"],
                condition=Q(status__in=["posted", "partly"]),
                name="insurance_remittance_posted_once",
            ),
            models.UniqueConstraint(fields=["file", "place"], name="insurance_remittance_read"),
            models.CheckConstraint(
                condition=Q(status__in=RemittanceStatus.values), name="insurance_remittance_status_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["status", "-paid_on"], name="remittance_status"),
            models.Index(fields=["-paid_on", "id"], name="remittance_paid"),
            models.Index(fields=["partner", "-paid_on"], name="remittance_partner"),
            models.Index(fields=["trace"], name="remittance_trace"),
            models.Index(fields=["-created_at", "id"], name="remittance_newest"),
        ]


class RemittanceClaimState(models.TextChoices):
    POSTED = "posted"
    UNMATCHED = "unmatched", "no claim of ours found"
    BLOCKED = "blocked", "cannot be posted"
    NOTED = "noted", "told without a payment"
    DISMISSED = "dismissed"


class RemittanceClaim(models.Model):
    """One claim of an 835 (loop 2100) as it was said; content: lines and adjustments, to post once it is matched."""

    State = RemittanceClaimState

    access: ClassVar[scope.Access] = scope.Access(patient="claim__patient_insurance__patient_id", sees_all=DESK)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    remittance = models.ForeignKey(Remittance, on_delete=models.PROTECT, related_name="claims")
    number = models.PositiveIntegerField()  # its place in the transaction, from 1
    claim = models.ForeignKey(InsuranceClaim, null=True, on_delete=models.PROTECT, related_name="remittance_claims")
    claim_control_number = models.CharField(max_length=38)  # CLP01
    status_code = models.CharField(max_length=2)  # CLP02
    charge = dollars()
    paid = dollars()
    patient_responsibility = dollars(null=True)
    payer_claim_number = models.CharField(max_length=50, blank=True, default="")  # CLP07
    member_id = SealedTextField(max_length=80, blank=True, default="")
    service_on = models.DateField(null=True)
    remarks = models.CharField(max_length=60, blank=True, default="")  # "MA01,N130"
    crossed_to = models.CharField(max_length=80, blank=True, default="", help_text="The next payer's number.")
    content = SealedJSONField(default=dict)
    state = models.CharField(max_length=9, choices=RemittanceClaimState)
    reason = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ["remittance", "number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["remittance", "number"], name="insurance_remittanceclaim_once"),
            models.CheckConstraint(
                condition=Q(state__in=RemittanceClaimState.values), name="insurance_remittanceclaim_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["state", "remittance"],
                name="remittanceclaim_open",
                condition=Q(state__in=["unmatched", "blocked"]),
            ),
            models.Index(fields=["claim_control_number"], name="remittanceclaim_clp01"),
        ]

    def __str__(self) -> str:
        return f"claim {self.number} of remittance {self.remittance_id}"


class PostingKind(models.TextChoices):
    PAYMENT = "payment"
    CONTRACTUAL = "contractual"  # CO
    PATIENT = "patient"  # PR
    OTHER = "other"  # OA, PI


class Posting(models.Model):
    """One entry of the ledger: never changed, never deleted (a trigger sees to it); a reversal is an entry of its own.

    amount: what was paid, or what an adjustment takes off the charge; negative where it is taken back. A claim's paid,
    allowed and patient's amounts are sums of its entries. by: the person who entered it where no 835 did.
    """

    access: ClassVar[scope.Access] = scope.of_patient("claim__patient_insurance__patient")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    posted_at = models.DateTimeField(default=timezone.now)
    claim = models.ForeignKey(InsuranceClaim, on_delete=models.PROTECT, related_name="postings", db_index=False)
    line = models.ForeignKey(ClaimLine, null=True, on_delete=models.PROTECT, related_name="postings", db_index=False)
    remittance_claim = models.ForeignKey(RemittanceClaim, null=True, on_delete=models.PROTECT, related_name="postings")
    kind = models.CharField(max_length=11, choices=PostingKind)
    group = models.CharField(max_length=2, default="")  # CO, PR, OA, PI
    reason = models.CharField(max_length=5, default="")  # CARC
    remarks = models.CharField(max_length=60, default="")  # RARC, "M15,N130"
    amount = dollars()
    is_reversal = models.BooleanField(default=False)
    by = models.ForeignKey("users.User", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        ordering = ["posted_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(kind__in=PostingKind.values), name="insurance_posting_kind_known"),
            models.CheckConstraint(
                condition=Q(remittance_claim__isnull=False) | Q(by__isnull=False), name="insurance_posting_has_source"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["claim", "posted_at"], name="posting_claim"),
            models.Index(fields=["-posted_at", "id"], name="posting_newest"),
            models.Index(fields=["reason", "group"], name="posting_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class ProviderAdjustment(models.Model):
    """Money that is settled with us and not with a claim (PLB). amount as written: positive lowers the payment."""

    access: ClassVar[scope.Access] = scope.Access(patient="claim__patient_insurance__patient_id", sees_all=DESK)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    remittance = models.ForeignKey(Remittance, on_delete=models.PROTECT, related_name="provider_adjustments")
    number = models.PositiveIntegerField()
    reason = models.CharField(max_length=2)
    reference = models.CharField(max_length=50, default="")
    amount = dollars()
    claim = models.ForeignKey(InsuranceClaim, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["remittance", "number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["remittance", "number"], name="insurance_provideradjustment_once"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} of remittance {self.remittance_id}"


class Deposit(ClinicModel):
    """Money that arrived at the bank, to be found in an 835 by its trace."""

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset({Role.RECEPTIONIST}))

    trace = models.CharField(max_length=50)
    amount = dollars()
    received_on = models.DateField()
    remittance = models.OneToOneField(
        Remittance, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="deposit"
    )
    matched_at = models.DateTimeField(null=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-received_on", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["trace", "amount", "received_on"],
                condition=Q(is_deleted=False),
                name="insurance_deposit_once",
                violation_error_message="This deposit is recorded already.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-received_on", "id"], name="deposit_received"),
            models.Index(fields=["trace"], name="deposit_trace"),
            models.Index(fields=["-created_at", "id"], name="deposit_newest"),
        ]
