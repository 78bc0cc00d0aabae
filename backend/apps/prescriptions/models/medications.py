"""The drugs that can be prescribed; without this a prescription would be free text nobody can check."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.patients.models import prefix_index
from backend.apps.prescriptions import ndc


class DrugClass(models.TextChoices):
    ANTIBIOTIC = "antibiotic"
    ANALGESIC = "analgesic"
    ANTIHYPERTENSIVE = "antihypertensive"
    ANTIDIABETIC = "antidiabetic"
    ANTIDEPRESSANT = "antidepressant"
    ANXIOLYTIC = "anxiolytic"
    ANTICOAGULANT = "anticoagulant"
    ANTICONVULSANT = "anticonvulsant"
    ANTIHISTAMINE = "antihistamine"
    ANTIVIRAL = "antiviral"
    BRONCHODILATOR = "bronchodilator"
    CORTICOSTEROID = "corticosteroid"
    DIURETIC = "diuretic"
    HORMONE = "hormone"
    STATIN = "statin"
    STIMULANT = "stimulant"
    VACCINE = "vaccine"
    OTHER = "other"


class Schedule(models.TextChoices):
    """Schedules of controlled substances. Source: 21 CFR 1308.11-15."""

    I = "I", "I"  # noqa: E741  # the law's own name
    II = "II", "II"
    III = "III", "III"
    IV = "IV", "IV"
    V = "V", "V"


class Medication(ClinicModel):
    """One package of one drug, under its National Drug Code."""

    access: ClassVar[scope.Access] = scope.SHARED

    ndc_code = models.CharField("NDC", max_length=13, unique=True, validators=[ndc.validate_ndc])
    rxnorm_code = models.CharField(
        "RxNorm",
        max_length=8,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^[0-9]+$", "An RxCUI has digits only.")],
    )
    brand_name = models.CharField(max_length=160, blank=True)
    generic_name = models.CharField(max_length=160)
    drug_class = models.CharField(max_length=20, choices=DrugClass, default=DrugClass.OTHER)
    controlled_substance_schedule = models.CharField(max_length=3, choices=Schedule, blank=True)
    strength = models.CharField(max_length=60)
    dosage_form = models.CharField(max_length=60)
    typical_dosage = models.CharField(max_length=200, blank=True)
    indications = models.TextField(blank=True, max_length=5000)
    contraindications = models.TextField(blank=True, max_length=5000)
    side_effects = models.TextField(blank=True, max_length=5000)
    interactions = models.TextField(blank=True, max_length=5000)
    unit_price = models.DecimalField(max_digits=10, decimal_places=4, default=0, validators=[MinValueValidator(0)])
    manufacturer = models.CharField(max_length=160, blank=True)
    is_active = models.BooleanField(default=True)
    is_formulary = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["generic_name", "strength", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(ndc_code__regex=ndc.NDC), name="prescriptions_medication_ndc_form"),
            models.CheckConstraint(
                condition=Q(drug_class__in=DrugClass.values), name="prescriptions_medication_class_known"
            ),
            models.CheckConstraint(
                condition=Q(controlled_substance_schedule__in=["", *Schedule.values]),
                name="prescriptions_medication_schedule_known",
            ),
            models.CheckConstraint(condition=~Q(generic_name=""), name="prescriptions_medication_named"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="prescriptions_medication_price"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            prefix_index("generic_name", "medication_generic"),
            prefix_index("brand_name", "medication_brand"),
            models.Index(fields=["rxnorm_code"], name="medication_rxnorm"),
            models.Index(fields=["drug_class", "generic_name"], name="medication_class"),
            models.Index(fields=["controlled_substance_schedule"], name="medication_schedule"),
            models.Index(fields=["is_active", "is_formulary"], name="medication_formulary"),
            models.Index(fields=["-created_at", "id"], name="medication_newest"),
        ]

    @property
    def is_controlled_substance(self) -> bool:
        return bool(self.controlled_substance_schedule)

    @property
    def admin_label(self) -> str:
        return f"{self.generic_name} {self.strength} {self.dosage_form}"

    def clean_fields(self, exclude: Any = None) -> None:
        """Bring the code into its stored shape first, so that uniqueness is asked of what will be stored."""
        super().clean_fields(exclude=exclude)
        self.ndc_code = ndc.normalized(self.ndc_code)

    def save(self, *args: Any, **kwargs: Any) -> None:
        try:
            self.ndc_code = ndc.normalized(self.ndc_code)
        except ValidationError as error:
            raise ValidationError({"ndc_code": error.messages}) from error
        super().save(*args, **kwargs)
