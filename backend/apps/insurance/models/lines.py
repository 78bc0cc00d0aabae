"""The service lines of a claim and what earlier payers said of them; without these an 835 had nothing to post to."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, uuid7
from backend.apps.insurance.models.claims import InsuranceClaim
from backend.apps.insurance.models.coverage import PatientInsurance


class ClaimLine(models.Model):
    """One service line. A trigger writes it from the claim's `procedure_codes`, so that the two never differ.

    Codes in lists are joined by commas: modifiers "25,59", pointers "1,2". Its control number (REF*6R) is the claim's
    and the line's number.
    """

    access: ClassVar[scope.Access] = scope.of_patient("claim__patient_insurance__patient")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    claim = models.ForeignKey(InsuranceClaim, on_delete=models.PROTECT, related_name="lines")
    number = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=5)
    modifiers = models.CharField(max_length=11, default="")
    description = models.CharField(max_length=80, default="")
    charge = models.DecimalField(max_digits=12, decimal_places=2)
    units = models.DecimalField(max_digits=9, decimal_places=3)
    unit_basis = models.CharField(max_length=2, default="UN")
    pointers = models.CharField(max_length=11)
    service_from = models.DateField()
    service_to = models.DateField(null=True)
    place_of_service = models.CharField(max_length=2, default="")
    is_emergency = models.BooleanField(default=False)
    ndc = models.CharField(max_length=11, default="")
    ndc_quantity = models.DecimalField(max_digits=12, decimal_places=3, null=True)
    ndc_unit = models.CharField(max_length=2, default="")
    prior_authorization = models.CharField(max_length=50, default="")
    note = models.CharField(max_length=80, default="")
    rendering_doctor = models.ForeignKey(
        "doctors.Doctor", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["claim", "number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["claim", "number"], name="insurance_claimline_once"),
            models.CheckConstraint(condition=Q(charge__gte=0, units__gt=0), name="insurance_claimline_amounts"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["service_from", "code"], name="claimline_day_code"),
        ]

    def __str__(self) -> str:
        return f"line {self.number} of claim {self.claim_id}"

    @property
    def control_number(self) -> str:
        return line_control_number(self.claim.control_number, self.number)


def line_control_number(claim_number: str, line: int) -> str:
    """Return REF*6R of a line: the claim's CLM01, L and the line's number."""
    return f"{claim_number}L{line}"


class PriorAdjudication(ClinicModel):
    """What an earlier payer made of a claim that goes to the next one now (2320 and 2330 of the 837P).

    adjustments: of the claim itself, [[group, reason, amount, quantity or null], ...]; those of lines stand at lines.
    """

    access: ClassVar[scope.Access] = scope.of_patient("claim__patient_insurance__patient")

    claim = models.ForeignKey(InsuranceClaim, on_delete=models.PROTECT, related_name="prior_adjudications")
    coverage = models.ForeignKey(PatientInsurance, on_delete=models.PROTECT, related_name="+")
    paid = models.DecimalField(max_digits=12, decimal_places=2, validators=[MinValueValidator(0)])
    remaining = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, help_text="What the patient still owes."
    )
    adjudicated_on = models.DateField()
    reference = models.CharField(max_length=50, blank=True, default="", help_text="The payer's own claim number.")
    adjustments = models.JSONField(default=list, blank=True)

    class Meta(ClinicModel.Meta):
        ordering = ["claim", "coverage"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["claim", "coverage"],
                condition=Q(is_deleted=False),
                name="insurance_prioradjudication_once",
                violation_error_message="What this payer said of the claim is recorded already.",
            ),
        ]


class ClaimLineAdjudication(models.Model):
    """What an earlier payer made of one line (2430). adjustments: [[group, reason, amount, quantity or null], ...]."""

    access: ClassVar[scope.Access] = scope.of_patient("prior__claim__patient_insurance__patient")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    prior = models.ForeignKey(PriorAdjudication, on_delete=models.CASCADE, related_name="lines")
    number = models.PositiveSmallIntegerField(help_text="Of the line it is about.")
    paid = models.DecimalField(max_digits=12, decimal_places=2)
    code = models.CharField(max_length=5)
    modifiers = models.CharField(max_length=11, blank=True, default="")
    units = models.DecimalField(max_digits=9, decimal_places=3)
    remaining = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    adjustments = models.JSONField(default=list)

    class Meta:
        ordering = ["prior", "number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["prior", "number"], name="insurance_lineadjudication_once"),
        ]

    def __str__(self) -> str:
        return f"line {self.number} of adjudication {self.prior_id}"
