"""Payers and the plans they sell: without them a claim has nobody to go to."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import DomainError
from backend.apps.core.validators import validate_phone

PAYER_ID = r"^[A-Z0-9][A-Z0-9-]{1,79}$"  # 837P, 2010BB NM109: 2 to 80 characters
MONEY = ("copay_primary_care", "copay_specialist", "copay_emergency", "annual_deductible", "out_of_pocket_max")
FILING_DAYS = MappingProxyType({"medicare": 365, "tricare": 365})  # by law, where the plan itself does not say
PERCENT = ("in_network_coverage", "out_of_network_coverage")


class InsuranceProvider(ClinicModel):
    """A payer: the company that claims go to."""

    access: ClassVar[scope.Access] = scope.SHARED

    company_name = models.CharField(max_length=160)
    payer_id = models.CharField(
        max_length=80, unique=True, validators=[RegexValidator(PAYER_ID, "Capital letters, digits and hyphens only.")]
    )
    naic_code = models.CharField(
        "NAIC",
        max_length=5,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^\d{5}$", "Five digits.")],
    )
    phone = models.CharField(max_length=16, blank=True, validators=[validate_phone])
    fax = models.CharField(max_length=16, blank=True, validators=[validate_phone])
    email = models.EmailField(blank=True)
    website = models.URLField(blank=True)
    address_line1 = models.CharField(max_length=120, blank=True)
    address_line2 = models.CharField(max_length=120, blank=True)
    city = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=2, blank=True)
    postal_code = models.CharField(max_length=10, blank=True)
    claims_address_line1 = models.CharField(max_length=120, blank=True)
    claims_address_line2 = models.CharField(max_length=120, blank=True)
    claims_city = models.CharField(max_length=80, blank=True)
    claims_state = models.CharField(max_length=2, blank=True)
    claims_postal_code = models.CharField(max_length=10, blank=True)
    electronic_claims_id = models.CharField(max_length=80, blank=True)
    is_active = models.BooleanField(default=True)
    accepts_assignment = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["company_name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(payer_id__regex=PAYER_ID), name="insurance_provider_payer_id_form"),
            models.CheckConstraint(condition=~Q(company_name=""), name="insurance_provider_named"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["company_name", "id"], name="provider_name"),
            models.Index(fields=["is_active", "company_name"], name="provider_active"),
        ]

    def __str__(self) -> str:
        return f"{self.company_name} ({self.payer_id})"

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.plans.exists():
            raise DomainError("This payer has plans; mark it as no longer in use instead.")
        return super().delete(*args, **kwargs)


def money(**more: Any) -> models.DecimalField:
    """Return a column for an amount of money that may be unknown but is never negative."""
    return models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)], **more
    )


def percent() -> models.DecimalField:
    return models.DecimalField(
        max_digits=5, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(100)]
    )


class InsurancePlan(ClinicModel):
    class PlanType(models.TextChoices):
        HMO = "hmo", "HMO"
        PPO = "ppo", "PPO"
        EPO = "epo", "EPO"
        POS = "pos", "POS"
        MEDICARE = "medicare", "Medicare"
        MEDICAID = "medicaid", "Medicaid"
        TRICARE = "tricare", "TRICARE"

    access: ClassVar[scope.Access] = scope.SHARED

    provider = models.ForeignKey(InsuranceProvider, on_delete=models.PROTECT, related_name="plans")
    plan_name = models.CharField(max_length=160)
    plan_number = models.CharField(max_length=50, blank=True, default="")
    plan_type = models.CharField(max_length=8, choices=PlanType)
    group_number = models.CharField(max_length=50, blank=True, default="")
    copay_primary_care = money()
    copay_specialist = money()
    copay_emergency = money()
    annual_deductible = money()
    out_of_pocket_max = money()
    in_network_coverage = percent()  # of the allowed amount, 0 to 100
    out_of_network_coverage = percent()
    timely_filing_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="From the day of service; empty: unknown."
    )
    claim_filing_code = models.CharField(
        max_length=2,
        blank=True,
        default="",
        validators=[RegexValidator(r"^[A-Z0-9]{2}$", "Two characters, as CI.")],
        help_text="SBR09 where it is not what the type of plan says.",
    )
    needs_prior_authorization = models.BooleanField(default=False)
    needs_referral = models.BooleanField(default=False)
    dependents_are_members = models.BooleanField(
        default=False, help_text="Each dependent has a number of its own and is billed as the subscriber."
    )

    class Meta(ClinicModel.Meta):
        ordering = ["plan_name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["provider", "plan_number", "group_number"],
                condition=~Q(plan_number="") & Q(is_deleted=False),
                name="insurance_plan_number_once",
                violation_error_message="This payer has a plan with this number and group already.",
            ),
            models.CheckConstraint(
                condition=Q(plan_type__in=["hmo", "ppo", "epo", "pos", "medicare", "medicaid", "tricare"]),
                name="insurance_plan_type_known",
            ),
            *(
                models.CheckConstraint(condition=Q(**{f"{field}__gte": 0}), name=f"insurance_plan_{field}_not_neg")
                for field in MONEY
            ),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__gte": 0, f"{field}__lte": 100}), name=f"insurance_plan_{field}_percent"
                )
                for field in PERCENT
            ),
            models.CheckConstraint(
                condition=Q(out_of_pocket_max__isnull=True)
                | Q(annual_deductible__isnull=True)
                | Q(out_of_pocket_max__gte=F("annual_deductible")),
                name="insurance_plan_deductible_within_max",
                violation_error_message="The most a member pays a year includes the deductible.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["plan_name", "id"], name="plan_name"),
            models.Index(fields=["plan_type", "plan_name"], name="plan_type"),
        ]

    def __str__(self) -> str:
        return self.plan_name

    @property
    def filing_days(self) -> int | None:
        """Days from the service in which the payer takes a claim; None where nobody knows."""
        return self.timely_filing_days or FILING_DAYS.get(self.plan_type)

    def clean(self) -> None:
        super().clean()
        if self.provider_id and self._state.adding and not self.provider.is_active:
            raise ValidationError({"provider": "This payer is no longer in use."})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.members.exists():
            raise DomainError("Patients are covered by this plan.")
        return super().delete(*args, **kwargs)
