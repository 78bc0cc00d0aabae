"""The people the clinic treats: without this there is nobody to remind, test or bill."""

from __future__ import annotations

import json
from datetime import date
from types import MappingProxyType
from typing import Any, ClassVar

from django.contrib.postgres.indexes import OpClass
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, validate_email
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Cast, Length, Now, TruncDate, Upper
from django.db.models.lookups import Exact, LessThanOrEqual
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.models import Clinic, validate_time_zone
from backend.apps.core.roles import Role
from backend.apps.core.sealed import BlindIndex, SealedTextField
from backend.apps.core.validators import validate_language, validate_not_future, validate_phone
from backend.apps.patients.emergency_models import EmergencyAccess

__all__ = [
    "RACES", "BirthSex", "ConsentMethod", "ContactConsent", "ContactPoint", "EmergencyAccess", "Ethnicity", "Gender",
    "Patient",
]  # fmt: skip

EARLIEST_BIRTH = date(1900, 1, 1)
INSURANCE_INFO_LONGEST = 4096  # characters of JSON
PHONE = r"^(\+[1-9][0-9]{4,14})?$"
RECORD_NUMBER = r"^[A-Z0-9][A-Z0-9._/-]*$"


def validate_birth_year(value: date) -> None:
    if value < EARLIEST_BIRTH:
        raise ValidationError("A date of birth is not before 1900.", code="too_early")


def validate_insurance_info(value: Any) -> None:
    """Accept a small flat object: text, numbers, booleans or null under short names."""
    if not isinstance(value, dict):
        raise ValidationError("Write an object of names and values.", code="shape")
    flat = all(item is None or isinstance(item, str | int | float | bool) for item in value.values())
    if len(value) > 30 or not flat or any(len(name) > 60 for name in value):
        raise ValidationError("At most 30 short names, each with one plain value.", code="shape")
    if len(json.dumps(value)) > INSURANCE_INFO_LONGEST - 200:  # PostgreSQL writes a space or two more than we do
        raise ValidationError("This is too long to keep here.", code="too_long")


def prefix_index(field: str, name: str) -> models.Index:
    """Return the index that `field__istartswith` and `field__iexact` use, whatever the database's collation."""
    return models.Index(OpClass(Upper(field), name="text_pattern_ops"), name=name)


class JsonKind(Func):
    function = "jsonb_typeof"
    output_field = models.TextField()


class Gender(models.TextChoices):
    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class BirthSex(models.TextChoices):
    """Source: HL7 v3 AdministrativeGender, and UNK."""

    FEMALE = "F", "female"
    MALE = "M", "male"
    UNKNOWN = "UNK", "unknown"


class Ethnicity(models.TextChoices):
    """Source: OMB 1997 standards, in CDC Race and Ethnicity codes."""

    HISPANIC = "2135-2", "Hispanic or Latino"
    NOT_HISPANIC = "2186-5", "not Hispanic or Latino"
    ASKED = "ASKU", "asked but not said"
    UNKNOWN = "UNK", "unknown"


RACES = MappingProxyType({  # OMB 1997 standards, in CDC Race and Ethnicity codes
    "1002-5": "American Indian or Alaska Native",
    "2028-9": "Asian",
    "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
    "2106-3": "White",
    "ASKU": "Asked but not said",
    "UNK": "Unknown",
})  # fmt: skip


def validate_races(value: Any) -> None:
    """Accept a list of codes of RACES, each once; ASKU and UNK stand alone."""
    if not (isinstance(value, list) and all(isinstance(code, str) and code in RACES for code in value)):
        raise ValidationError("Write a list of OMB race codes, as 2106-3.", code="race")
    if len(set(value)) != len(value) or (len(value) > 1 and {"ASKU", "UNK"} & set(value)):
        raise ValidationError("Each race once; ASKU and UNK stand alone.", code="race")


class Patient(ClinicModel):
    access: ClassVar[scope.Access] = scope.Access(patient="pk", patient_user="user")

    user = models.OneToOneField("users.User", null=True, blank=True, on_delete=models.PROTECT, related_name="patient")
    medical_record_number = models.CharField(
        "MRN",
        max_length=32,
        unique=True,
        validators=[RegexValidator(RECORD_NUMBER, "Capital letters, digits and . _ / - only.")],
    )
    first_name = models.CharField(max_length=80)
    last_name = models.CharField(max_length=80)
    date_of_birth = models.DateField(validators=[validate_birth_year, validate_not_future])
    gender = models.CharField(max_length=7, choices=Gender, default=Gender.UNKNOWN)
    phone = SealedTextField(max_length=16, blank=True, validators=[validate_phone])
    phone_index = BlindIndex("phone", normal="phone")
    email = SealedTextField(max_length=254, blank=True, validators=[validate_email])
    email_index = BlindIndex("email", normal="email")
    address_line1 = models.CharField(max_length=120, blank=True)
    address_line2 = models.CharField(max_length=120, blank=True)
    city = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=40, blank=True)
    postal_code = models.CharField(max_length=12, blank=True)
    country = models.CharField(
        max_length=2, default="US", validators=[RegexValidator(r"^[A-Z]{2}$", "Two capital letters, as US.")]
    )
    emergency_contact_name = models.CharField(max_length=160, blank=True)
    emergency_contact_phone = SealedTextField(max_length=16, blank=True, validators=[validate_phone])
    emergency_contact_relationship = models.CharField(max_length=60, blank=True)
    insurance_info = models.JSONField(default=dict, blank=True, validators=[validate_insurance_info])
    time_zone = models.CharField(max_length=64, blank=True, validators=[validate_time_zone])
    middle_name = models.CharField(max_length=80, blank=True, default="", db_default="")
    name_suffix = models.CharField(max_length=20, blank=True, default="", db_default="", help_text="Jr., III")
    birth_sex = models.CharField(max_length=3, choices=BirthSex, blank=True, default="", db_default="")
    races = models.JSONField(
        default=list, blank=True, db_default=models.Value([], models.JSONField()), validators=[validate_races]
    )
    ethnicity = models.CharField(max_length=6, choices=Ethnicity, blank=True, default="", db_default="")
    needs_interpreter = models.BooleanField(null=True, blank=True)
    deceased_at = models.DateTimeField(null=True, blank=True)
    preferred_language = models.CharField(max_length=35, default="en", validators=[validate_language])
    sms_consent = models.BooleanField(default=False)
    sms_consent_at = models.DateTimeField(null=True, blank=True, editable=False)  # given or taken back
    email_consent = models.BooleanField(default=False)
    email_consent_at = models.DateTimeField(null=True, blank=True, editable=False)
    merged_into = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="merged_from",
        help_text="The record of the same person that everything of this one was moved to.",
    )
    demographics_as_of = models.JSONField(default=dict, editable=False)  # name of a field: when it was last said

    class Meta(ClinicModel.Meta):
        ordering = ["last_name", "first_name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(gender__in=Gender.values), name="patients_patient_gender_known"),
            models.CheckConstraint(
                condition=Q(birth_sex__in=["", *BirthSex.values]), name="patients_patient_birth_sex_known"
            ),
            models.CheckConstraint(
                condition=Q(ethnicity__in=["", *Ethnicity.values]), name="patients_patient_ethnicity_known"
            ),
            models.CheckConstraint(
                condition=Exact(Func(F("races"), function="jsonb_typeof", output_field=models.TextField()), "array"),
                name="patients_patient_races_list",
            ),
            models.CheckConstraint(
                condition=Q(date_of_birth__gte=EARLIEST_BIRTH)
                & Q(date_of_birth__lte=TruncDate(Now()) + 1),  # a day's grace for zones ahead of UTC
                name="patients_patient_birth_possible",
            ),
            models.CheckConstraint(condition=~Q(first_name="") & ~Q(last_name=""), name="patients_patient_named"),
            models.CheckConstraint(
                condition=Q(medical_record_number__regex=RECORD_NUMBER), name="patients_patient_mrn_form"
            ),
            models.CheckConstraint(condition=Q(country__regex="^[A-Z]{2}$"), name="patients_patient_country_form"),
            models.CheckConstraint(
                condition=Exact(
                    Func(F("insurance_info"), function="jsonb_typeof", output_field=models.TextField()), "object"
                )
                & LessThanOrEqual(Length(Cast(F("insurance_info"), models.TextField())), INSURANCE_INFO_LONGEST),
                name="patients_patient_insurance_small",
            ),
            models.CheckConstraint(
                condition=(Q(sms_consent=False) | Q(sms_consent_at__isnull=False))
                & (Q(email_consent=False) | Q(email_consent_at__isnull=False)),
                name="patients_patient_consent_dated",
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True) | (Q(is_deleted=True) & ~Q(merged_into=F("id"))),
                name="patients_patient_merged_is_gone",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            prefix_index("last_name", "patient_last_name"),
            prefix_index("first_name", "patient_first_name"),
            prefix_index("middle_name", "patient_middle_name"),
            prefix_index("name_suffix", "patient_name_suffix"),
            models.Index(fields=["email_index"], name="patient_email"),
            models.Index(fields=["phone_index"], name="patient_phone"),
            models.Index(fields=["date_of_birth"], name="patient_birth"),
            models.Index(fields=["last_name", "first_name", "id"], name="patient_by_name"),
            models.Index(fields=["-created_at", "id"], name="patient_newest"),
            models.Index(fields=["-updated_at", "id"], name="patient_changed"),
            models.Index(fields=["id"], name="patient_removed", condition=Q(is_deleted=True, merged_into__isnull=True)),
        ]

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def admin_label(self) -> str:
        """The text people choose by in the admin; `str(row)` names nobody."""
        return f"{self.last_name}, {self.first_name} ({self.medical_record_number})"

    @property
    def age(self) -> int:
        """Whole years today, by the clinic's calendar."""
        return self.age_on(Clinic.today())

    def age_on(self, day: date) -> int:
        """Return the whole years lived on `day`; who was born on 29 February turns on 1 March in common years."""
        born = self.date_of_birth
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))

    def clean(self) -> None:
        super().clean()
        if self.user is not None and self.user.role != Role.PATIENT:
            raise ValidationError({"user": "Only a login with the role patient belongs to a patient."})
        if self.date_of_birth and self.date_of_birth > Clinic.today():
            raise ValidationError({"date_of_birth": "This day is in the future."})
        if self.deceased_at and self.date_of_birth and self.deceased_at.date() < self.date_of_birth:
            raise ValidationError({"deceased_at": "This is before the day of birth."})
        if self.deceased_at and self.deceased_at > timezone.now():
            raise ValidationError({"deceased_at": "This moment is in the future."})
        if self.country == "US" and self.state and not (len(self.state) == 2 and self.state.isupper()):
            raise ValidationError({"state": "Write a state of the US with two capital letters, as NY."})

    def consent(self, channel: str, given: bool) -> None:
        """Note that the patient gave or took back consent to "sms" or "email", and when; save separately."""
        if getattr(self, f"{channel}_consent") != given or (given and not getattr(self, f"{channel}_consent_at")):
            setattr(self, f"{channel}_consent_at", timezone.now())
        setattr(self, f"{channel}_consent", given)


class ConsentMethod(models.TextChoices):
    STAFF = "staff", "told to staff"
    PATIENT = "patient", "changed by the patient"
    TEXT = "text", "text message from the number"
    UNSUBSCRIBE = "unsubscribe", "unsubscribe link or button"
    PROVIDER = "provider", "reported by the provider"
    IMPORT = "import", "taken over from another system"
    MERGE = "merge", "two records became one"


class ContactConsent(ClinicModel):
    """One change of a consent: who said so, when and how. Rows are only added; the patient's own columns hold the last.

    evidence: what shows it, as the id of the text message; address: the number or mailbox it was about then.
    """

    Method = ConsentMethod

    access: ClassVar[scope.Access] = scope.of_patient()

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="consents")
    channel = models.CharField(max_length=5, choices=[("sms", "text message"), ("email", "e-mail")])
    given = models.BooleanField()
    method = models.CharField(max_length=11, choices=ConsentMethod)
    address = SealedTextField(max_length=254, blank=True)
    evidence = models.CharField(max_length=80, blank=True)
    by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(channel__in=["sms", "email"]), name="patients_consent_channel_known"),
            models.CheckConstraint(condition=Q(method__in=ConsentMethod.values), name="patients_consent_method_known"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["patient", "channel", "-created_at"], name="consent_patient"),
            models.Index(fields=["method", "-created_at"], name="consent_method"),
            models.Index(fields=["-created_at", "id"], name="consent_newest"),
        ]


class ContactPoint(ClinicModel):
    """What is known of one number or mailbox, whoever's it is: opted out, or unable to take messages.

    opted_out_method: how it became known. opted_out_evidence: the id of the message that said so, or the provider's
    code. unusable_code: the provider's code.
    """

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset({Role.RECEPTIONIST, Role.NURSE}))

    channel = models.CharField(max_length=5, choices=[("sms", "text message"), ("email", "e-mail")], editable=False)
    address = SealedTextField(max_length=254, editable=False)  # E.164, or a mailbox in small letters
    address_index = BlindIndex("address")
    opted_out_at = models.DateTimeField(null=True, blank=True, editable=False)
    opted_out_method = models.CharField(max_length=11, choices=ConsentMethod, blank=True, editable=False)
    opted_out_evidence = models.CharField(max_length=80, blank=True, editable=False)
    unusable_at = models.DateTimeField(null=True, blank=True, editable=False)
    unusable_code = models.CharField(max_length=40, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-updated_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(fields=["channel", "address_index"], name="patients_contactpoint_once"),
            models.CheckConstraint(condition=Q(channel__in=["sms", "email"]), name="patients_contactpoint_channel"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["address_index"], name="contact_point_address"),
            models.Index(fields=["-updated_at", "id"], name="contact_point_changed"),
            models.Index(
                fields=["-opted_out_at"], name="contact_point_opted_out", condition=Q(opted_out_at__isnull=False)
            ),
            models.Index(
                fields=["-unusable_at"], name="contact_point_unusable", condition=Q(unusable_at__isnull=False)
            ),
        ]
