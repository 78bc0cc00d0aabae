"""The tests that can be ordered; without this an order would name nothing a laboratory knows."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.patients.models import prefix_index

TEST_CODE = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
LONGEST_TURNAROUND = 24 * 90  # hours


class TestCategory(models.TextChoices):
    HEMATOLOGY = "hematology"
    CHEMISTRY = "chemistry"
    MICROBIOLOGY = "microbiology"
    IMMUNOLOGY = "immunology"
    PATHOLOGY = "pathology"
    RADIOLOGY = "radiology"


class SpecimenType(models.TextChoices):
    BLOOD = "blood"
    SERUM = "serum"
    PLASMA = "plasma"
    URINE = "urine"
    STOOL = "stool"
    SWAB = "swab"
    SPUTUM = "sputum"
    TISSUE = "tissue"
    CSF = "csf", "cerebrospinal fluid"
    SALIVA = "saliva"
    NONE = "none", "no specimen"
    OTHER = "other"


class CodeSystem(models.TextChoices):
    LOINC = "loinc", "LOINC"
    LOCAL = "local"


class LabTest(ClinicModel):
    """A test or a panel, under the code laboratories send it by."""

    access: ClassVar[scope.Access] = scope.SHARED

    test_code = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(TEST_CODE, "Letters, digits and . _ / - only, as 2823-3.")],
    )
    code_system = models.CharField(max_length=5, choices=CodeSystem, default=CodeSystem.LOINC)
    test_name = models.CharField(max_length=200)
    test_category = models.CharField(max_length=12, choices=TestCategory)
    specimen_type = models.CharField(max_length=8, choices=SpecimenType, default=SpecimenType.BLOOD)
    preparation_instructions = models.TextField(blank=True, max_length=2000)
    normal_range_min = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    normal_range_max = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    critical_low = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, blank=True, help_text="A value below this is critical."
    )
    critical_high = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, blank=True, help_text="A value above this is critical."
    )
    unit_of_measure = models.CharField(max_length=40, blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0, validators=[MinValueValidator(0)])
    turnaround_time_hours = models.PositiveSmallIntegerField(
        default=24, validators=[MinValueValidator(1), MaxValueValidator(LONGEST_TURNAROUND)]
    )
    is_active = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["test_name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(test_code__regex=TEST_CODE), name="laboratory_labtest_code_form"),
            models.CheckConstraint(
                condition=Q(code_system__in=CodeSystem.values), name="laboratory_labtest_system_known"
            ),
            models.CheckConstraint(
                condition=Q(test_category__in=TestCategory.values), name="laboratory_labtest_category_known"
            ),
            models.CheckConstraint(
                condition=Q(specimen_type__in=SpecimenType.values), name="laboratory_labtest_specimen_known"
            ),
            models.CheckConstraint(condition=~Q(test_name=""), name="laboratory_labtest_named"),
            models.CheckConstraint(
                condition=Q(normal_range_min__isnull=True)
                | Q(normal_range_max__isnull=True)
                | Q(normal_range_min__lte=F("normal_range_max")),
                name="laboratory_labtest_range_in_order",
                violation_error_message="The lower end of the normal range is above the upper end.",
            ),
            models.CheckConstraint(
                condition=Q(critical_low__isnull=True)
                | Q(critical_high__isnull=True)
                | Q(critical_low__lt=F("critical_high")),
                name="laboratory_labtest_critical_in_order",
                violation_error_message="The lower critical bound is not below the upper one.",
            ),
            models.CheckConstraint(condition=Q(price__gte=0), name="laboratory_labtest_price_not_negative"),
            models.CheckConstraint(
                condition=Q(turnaround_time_hours__range=(1, LONGEST_TURNAROUND)),
                name="laboratory_labtest_turnaround",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            prefix_index("test_name", "labtest_name"),
            models.Index(fields=["test_category", "test_name"], name="labtest_category"),
            models.Index(fields=["is_active"], name="labtest_active"),
            models.Index(fields=["-created_at", "id"], name="labtest_newest"),
        ]

    @property
    def admin_label(self) -> str:
        return f"{self.test_name} ({self.test_code})"

    @property
    def normal_range_display(self) -> str:
        """The normal range as people read it: "3.5 - 5.1 mmol/L", "< 200 mg/dL", "> 40"; empty when there is none."""
        low, high = self.normal_range_min, self.normal_range_max
        if low is not None and high is not None:
            text = f"{plain(low)} - {plain(high)}"
        elif high is not None:
            text = f"< {plain(high)}"
        elif low is not None:
            text = f"> {plain(low)}"
        else:
            return ""
        return f"{text} {self.unit_of_measure}".strip()


def plain(number: Decimal) -> str:
    """Return a number without trailing zeros or an exponent: "3.5", "200"."""
    return format(Decimal(number).normalize(), "f")
