"""Which plan pays for a patient on which day: without it two plans could both claim to pay first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.documents import KeptIn, validate_picture
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.sealed import BlindIndex, SealedTextField
from backend.apps.core.validators import validate_not_future
from backend.apps.insurance.models.payers import InsurancePlan

VERIFIED_FOR = timedelta(days=30)


class Sex(models.TextChoices):
    FEMALE = "F", "female"
    MALE = "M", "male"
    UNKNOWN = "U", "unknown"


class PatientInsurance(ClinicModel):
    """A patient's membership in a plan. Both dates are days of cover; without a last one it runs on."""

    class Priority(models.IntegerChoices):
        PRIMARY = 1
        SECONDARY = 2
        TERTIARY = 3

    class Relationship(models.TextChoices):
        SELF = "self"
        SPOUSE = "spouse"
        CHILD = "child"
        PARENT = "parent"
        OTHER = "other"

    class Verification(models.TextChoices):
        UNVERIFIED = "unverified"
        VERIFIED = "verified"
        FAILED = "failed"
        EXPIRED = "expired"

    access: ClassVar[scope.Access] = scope.of_patient("patient")

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="insurances")
    insurance_plan = models.ForeignKey(InsurancePlan, on_delete=models.PROTECT, related_name="members")
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.PRIMARY)
    policy_holder_name = models.CharField(max_length=160, blank=True)
    policy_holder_relationship = models.CharField(
        max_length=6, choices=Relationship, default=Relationship.SELF, help_text="What the patient is to the holder."
    )
    policy_holder_dob = models.DateField(null=True, blank=True, validators=[validate_not_future])
    policy_holder_first_name = models.CharField(max_length=35, blank=True, default="")
    policy_holder_last_name = models.CharField(max_length=60, blank=True, default="")
    policy_holder_sex = models.CharField(max_length=1, blank=True, default="", choices=Sex)
    policy_holder_address_line1 = models.CharField(max_length=55, blank=True, default="")
    policy_holder_address_line2 = models.CharField(max_length=55, blank=True, default="")
    policy_holder_city = models.CharField(max_length=30, blank=True, default="")
    policy_holder_state = models.CharField(max_length=2, blank=True, default="")
    policy_holder_postal_code = models.CharField(max_length=10, blank=True, default="")
    patient_sex = models.CharField(
        max_length=1, blank=True, default="", choices=Sex, help_text="As the insurer has it; empty: as the record says."
    )
    medicare_secondary_code = models.CharField(
        max_length=2,
        blank=True,
        default="",
        validators=[RegexValidator(r"^[0-9]{2}$", "Two digits, as 12.")],
        help_text="Why Medicare pays second (SBR05).",
    )
    policy_number = SealedTextField(max_length=50)
    policy_number_index = BlindIndex("policy_number", normal="code")
    group_number = models.CharField(max_length=50, blank=True)
    member_id = SealedTextField(max_length=80)
    member_id_index = BlindIndex("member_id", normal="code")
    effective_date = models.DateField()
    termination_date = models.DateField(null=True, blank=True)
    last_verified_date = models.DateField(null=True, blank=True, editable=False)
    verification_status = models.CharField(
        max_length=10, choices=Verification, default=Verification.UNVERIFIED, editable=False
    )
    front_card_image = models.ImageField(
        upload_to=KeptIn("insurance/cards", "front_card_image"),
        blank=True,
        max_length=200,
        validators=[validate_picture],
    )
    back_card_image = models.ImageField(
        upload_to=KeptIn("insurance/cards", "back_card_image"),
        blank=True,
        max_length=200,
        validators=[validate_picture],
    )

    class Meta(ClinicModel.Meta):
        verbose_name = "coverage"
        verbose_name_plural = "coverages"
        ordering = ["patient", "priority", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            ExclusionConstraint(
                name="insurance_coverage_one_per_priority",
                expressions=[
                    ("patient", RangeOperators.EQUAL),
                    ("priority", RangeOperators.EQUAL),
                    (
                        Func(
                            F("effective_date"),
                            F("termination_date"),
                            Value("[]"),
                            function="daterange",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(is_deleted=False),
                violation_error_message="Another coverage has this priority on some of these days.",
            ),
            models.CheckConstraint(condition=Q(priority__in=[1, 2, 3]), name="insurance_coverage_priority_known"),
            models.CheckConstraint(
                condition=Q(policy_holder_relationship__in=["self", "spouse", "child", "parent", "other"]),
                name="insurance_coverage_relationship_known",
            ),
            models.CheckConstraint(
                condition=Q(verification_status__in=["unverified", "verified", "failed", "expired"]),
                name="insurance_coverage_verification_known",
            ),
            models.CheckConstraint(
                condition=Q(policy_holder_relationship="self")
                | (~Q(policy_holder_name="") & Q(policy_holder_dob__isnull=False)),
                name="insurance_coverage_holder_known",
                violation_error_message="Name and date of birth of the policy holder are needed.",
            ),
            models.CheckConstraint(
                condition=Q(termination_date__isnull=True) | Q(termination_date__gte=F("effective_date")),
                name="insurance_coverage_ends_after_start",
                violation_error_message="A coverage cannot end before it begins.",
            ),
            models.CheckConstraint(
                condition=~Q(verification_status="verified") | Q(last_verified_date__isnull=False),
                name="insurance_coverage_verified_has_date",
            ),
            models.CheckConstraint(
                condition=~Q(member_id="") & ~Q(policy_number=""), name="insurance_coverage_has_numbers"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["patient", "effective_date"], name="coverage_patient"),
            models.Index(fields=["verification_status", "last_verified_date"], name="coverage_verification"),
            models.Index(fields=["last_verified_date"], name="coverage_verified_on"),
            models.Index(fields=["member_id_index"], name="coverage_member"),
            models.Index(fields=["priority", "effective_date"], name="coverage_priority"),
            models.Index(fields=["effective_date", "id"], name="coverage_begins"),
            models.Index(fields=["-created_at", "id"], name="coverage_newest"),
            models.Index(fields=["policy_number_index"], name="coverage_policy"),
            models.Index(fields=["termination_date"], name="coverage_ends"),
        ]

    @property
    def is_coverage_active(self) -> bool:
        """Whether the plan pays on this day at the practice."""
        return self.covers(Clinic.today())

    @property
    def needs_verification(self) -> bool:
        return self.needs_verification_on(Clinic.today())

    def covers(self, day: date) -> bool:
        ended = self.termination_date is not None and self.termination_date < day
        return not self.is_deleted and self.effective_date <= day and not ended

    def needs_verification_on(self, day: date) -> bool:
        """Return whether the payer was never asked, answered no, or answered more than 30 days before `day`."""
        if self.verification_status in {self.Verification.FAILED, self.Verification.EXPIRED}:
            return True
        return self.last_verified_date is None or self.last_verified_date < day - VERIFIED_FOR

    def verify(self, *, passed: bool = True) -> None:
        """Note that the payer was asked today and whether it confirmed the coverage."""
        today = Clinic.today()
        if self.termination_date is not None and self.termination_date < today:
            raise DomainError("This coverage has ended; record the new one instead.")
        changes = self.verified(passed=passed)
        type(self)._base_manager.filter(pk=self.pk).update(**changes)
        self.refresh_from_db(fields=list(changes))

    @classmethod
    def verified(cls, *, passed: bool) -> dict[str, Any]:
        """Return the fields to set once the payer was asked today."""
        status = cls.Verification.VERIFIED if passed else cls.Verification.FAILED
        confirmed = {"last_verified_date": Clinic.today()} if passed else {}
        return {"verification_status": status, "updated_at": timezone.now(), **confirmed}

    @classmethod
    def make_room(cls, patient: Any, into: Any) -> None:
        """Before the records of one person are merged: a coverage whose priority is taken gets the next free one.

        The payer is asked about it again. Where no priority is free, the merge itself will be refused.
        """
        for row in cls.objects.filter(patient=patient).order_by("priority", "pk"):
            others = cls.objects.filter(
                patient__in=[patient, into], effective_date__lte=row.termination_date or date.max
            )
            others = others.filter(Q(termination_date=None) | Q(termination_date__gte=row.effective_date))
            theirs = set(others.filter(patient=into).values_list("priority", flat=True))
            taken = {*others.exclude(pk=row.pk).values_list("priority", flat=True)}
            free = next((one for one in cls.Priority.values if one not in taken), None)
            if row.priority in theirs and free is not None:
                row.priority, row.verification_status = free, cls.Verification.UNVERIFIED
                row.save(update_fields=["priority", "verification_status", "updated_at"])

    def clean(self) -> None:
        super().clean()
        if self.insurance_plan_id and self._state.adding and self.insurance_plan.is_deleted:
            raise ValidationError({"insurance_plan": "This plan is no longer in use."})
        if self.effective_date and self.termination_date and self.termination_date < self.effective_date:
            raise ValidationError({"termination_date": "A coverage cannot end before it begins."})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.claims.exists():
            raise DomainError("There are claims under this coverage; end it by its last day instead.")
        return super().delete(*args, **kwargs)
