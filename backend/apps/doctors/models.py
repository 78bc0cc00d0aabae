"""Doctors, what entitles them to practise and when they see patients: without this nobody can be booked or billed."""

from __future__ import annotations

import re
from datetime import time
from typing import Any, ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import IntegerRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Lower

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel
from backend.apps.core.roles import Role
from backend.apps.core.sealed import BlindIndex, SealedTextField, same
from backend.apps.core.validators import validate_language, validate_npi
from backend.apps.employees.models.credentials import (
    Credential,
    CredentialType,
    credential_constraints,
    credential_indexes,
)

DEA = re.compile(r"[A-Z][A-Z9][0-9]{7}")
LONGEST_CAREER = 80  # years
UNTIL_MIDNIGHT = time(23, 59)  # a window that ends now or later lasts until the day is over


def validate_dea(value: str) -> None:
    """Accept a DEA registration number: two letters (the second may be 9), six digits and their check digit.

    Source: 21 CFR 1306.05; DEA, "Is there a pattern to the DEA number?": odd digits plus twice the even ones.
    """
    if not DEA.fullmatch(value):
        raise ValidationError("A DEA number is two capital letters and seven digits.", code="dea")
    digits = [int(digit) for digit in value[2:]]
    if (sum(digits[0:6:2]) + 2 * sum(digits[1:6:2])) % 10 != digits[6]:
        raise ValidationError("The check digit of this DEA number is wrong.", code="dea")


def validate_languages(value: Any) -> None:
    if not isinstance(value, list) or len(value) > 20:
        raise ValidationError('Write a list of languages, as ["en", "es"].', code="shape")
    for tag in value:
        validate_language(tag)
    if len(set(value)) != len(value):
        raise ValidationError("A language is listed twice.", code="twice")


class Specialization(ClinicModel):
    access: ClassVar[scope.Access] = scope.SHARED

    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, max_length=2000)
    medical_code = models.CharField(
        max_length=20,
        blank=True,
        help_text="The code payers know it by: NUCC taxonomy, as 207R00000X.",
        validators=[RegexValidator(r"^[0-9A-Z.-]+$", "Capital letters, digits, dots and dashes only.")],
    )

    class Meta(ClinicModel.Meta):
        ordering = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                Lower("name"), condition=Q(is_deleted=False), name="doctors_specialization_name_once"
            ),
            models.UniqueConstraint(
                fields=["medical_code"],
                condition=Q(is_deleted=False) & ~Q(medical_code=""),
                name="doctors_specialization_code_once",
            ),
            models.CheckConstraint(condition=~Q(name=""), name="doctors_specialization_named"),
        ]

    @property
    def admin_label(self) -> str:
        return self.name


class Doctor(ClinicModel):
    access: ClassVar[scope.Access] = scope.SHARED  # what a patient sees of a doctor is cut in the serializer

    user = models.OneToOneField("users.User", on_delete=models.PROTECT, related_name="doctor")
    license_number = models.CharField(max_length=40, unique=True)
    npi_number = models.CharField("NPI", max_length=10, unique=True, validators=[validate_npi])
    dea_number = SealedTextField("DEA number", max_length=9, blank=True, validators=[validate_dea])
    dea_number_index = BlindIndex("dea_number")
    specializations = models.ManyToManyField(
        Specialization, through="DoctorSpecialization", related_name="doctors", blank=True
    )
    board_certified = models.BooleanField(default=False)
    years_of_experience = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(LONGEST_CAREER)])
    consultation_fee = models.DecimalField(max_digits=8, decimal_places=2, default=0, validators=[MinValueValidator(0)])
    bio = models.TextField(blank=True, max_length=5000)
    education = models.TextField(blank=True, max_length=5000)
    languages = models.JSONField(default=list, blank=True, validators=[validate_languages])
    is_accepting_patients = models.BooleanField(default=True)
    covering_doctor = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="covers",
        help_text="Who is paged when this doctor does not answer.",
    )

    class Meta(ClinicModel.Meta):
        ordering = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["dea_number_index"],
                name="doctors_doctor_dea_once",
                violation_error_message="Another doctor has this DEA number.",
            ),
            models.CheckConstraint(condition=Q(npi_number__regex="^[12][0-9]{9}$"), name="doctors_doctor_npi_digits"),
            models.CheckConstraint(condition=~Q(license_number=""), name="doctors_doctor_licensed"),
            models.CheckConstraint(
                condition=Q(covering_doctor__isnull=True) | ~Q(covering_doctor=F("id")),
                name="doctors_doctor_covered_by_another",
                violation_error_message="A doctor is covered by another one.",
            ),
            models.CheckConstraint(condition=Q(consultation_fee__gte=0), name="doctors_doctor_fee_not_negative"),
            models.CheckConstraint(
                condition=Q(years_of_experience__lte=LONGEST_CAREER), name="doctors_doctor_years_possible"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["is_accepting_patients"], name="doctor_accepting"),
            models.Index(fields=["-created_at", "id"], name="doctor_newest"),
        ]

    @property
    def full_name(self) -> str:
        return self.user.full_name

    @property
    def admin_label(self) -> str:
        return f"{self.full_name} ({self.npi_number})"

    @property
    def ordered_specializations(self) -> list[Specialization]:
        """The specializations, the primary one first; one query, none when `specialization_links` is prefetched."""
        return [link.specialization for link in self.specialization_links.all()]

    @property
    def primary_specialization(self) -> Specialization | None:
        return next(iter(self.ordered_specializations), None)

    @property
    def dea_fits_name(self) -> bool:
        """Whether the second letter of the DEA number is that of the last name: a warning, for people marry."""
        name = self.user.last_name.upper()
        return not self.dea_number or self.dea_number[1] in {"9", name[:1]}

    def clean(self) -> None:
        super().clean()
        twins = Doctor.all_objects.filter(same(Doctor, "dea_number_index", self.dea_number)).exclude(pk=self.pk)
        if self.dea_number and twins.exists():
            raise ValidationError({"dea_number": "Another doctor has this DEA number."})
        if self.user_id and self.user.role != Role.DOCTOR:
            raise ValidationError({"user": "Only a login with the role doctor belongs to a doctor."})


class LinkManager(models.Manager):
    """Links with their specialization, so that a prefetch of links is all a list of doctors needs."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().select_related("specialization")


class DoctorSpecialization(UUIDModel):
    """That a doctor practises a specialization; the lowest `position` is the primary one."""

    access: ClassVar[scope.Access] = scope.SHARED

    doctor = models.ForeignKey(Doctor, on_delete=models.CASCADE, related_name="specialization_links")
    specialization = models.ForeignKey(Specialization, on_delete=models.PROTECT, related_name="doctor_links")
    position = models.PositiveSmallIntegerField(default=0)

    objects = LinkManager()

    class Meta:
        ordering = ["position", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["doctor", "specialization"], name="doctors_doctorspecialization_once"),
        ]

    def __str__(self) -> str:
        return f"doctor specialization {self.pk}"


class DoctorCredential(Credential):
    """A document that entitles a doctor to do something, until the end of the day `expiry_date`; empty is for ever."""

    access: ClassVar[scope.Access] = scope.Access(
        sees_all=frozenset(),
        owners=(
            "doctor__user", "doctor__user__employee__manager__user", "doctor__user__employee__department__head__user",
        ),
    )  # fmt: skip

    HOLDER: ClassVar[str] = "doctor"

    doctor = models.ForeignKey(Doctor, on_delete=models.PROTECT, related_name="credentials")

    class Meta(Credential.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = credential_constraints("doctors_credential", "doctor")
        indexes: ClassVar[list[models.Index]] = credential_indexes("credential")

    @property
    def holder(self) -> Doctor:
        return self.doctor

    @property
    def is_in_registry(self) -> bool:
        """Whether NPPES has this licence of the doctor, by the look-ups that the app `credentials` keeps of a login."""
        if self.credential_type != CredentialType.STATE_LICENSE:
            return False
        last = self.doctor.user.registry_checks.filter(source="nppes").order_by("-loaded_at", "-edition").first()
        return last is not None and last.has_license(self.state, self.number)


class DaySeconds(Func):
    """The seconds since midnight of a time of day; immutable, so that a constraint may use it."""

    template = "EXTRACT(EPOCH FROM %(expressions)s)::integer"
    output_field = models.IntegerField()


class Weekday(models.IntegerChoices):
    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


class DoctorAvailability(ClinicModel):
    """Hours of one weekday, in the clinic's own time, in which a doctor sees patients."""

    access: ClassVar[scope.Access] = scope.SHARED

    doctor = models.ForeignKey(Doctor, on_delete=models.PROTECT, related_name="availability")
    day_of_week = models.PositiveSmallIntegerField(choices=Weekday)
    start_time = models.TimeField()
    end_time = models.TimeField(help_text="23:59 means until midnight.")
    is_active = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["doctor", "day_of_week", "start_time"]
        verbose_name_plural = "doctor availability"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(day_of_week__range=(0, 6)), name="doctors_availability_day_known"),
            models.CheckConstraint(
                condition=Q(start_time__lt=F("end_time")),
                name="doctors_availability_start_first",
                violation_error_message="The end is not after the start.",
            ),
            models.UniqueConstraint(
                fields=["doctor", "day_of_week", "start_time"],
                condition=Q(is_deleted=False),
                name="doctors_availability_once",
                violation_error_message="This doctor already has hours that start then.",
            ),
            ExclusionConstraint(
                name="doctors_availability_no_overlap",
                expressions=[
                    ("doctor", RangeOperators.EQUAL),
                    ("day_of_week", RangeOperators.EQUAL),
                    (
                        Func(
                            DaySeconds("start_time"),
                            DaySeconds("end_time"),
                            function="int4range",
                            output_field=IntegerRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(is_active=True, is_deleted=False),
                violation_error_message="These hours overlap other hours of this doctor.",
            ),
        ]
