"""Who bills, where and on whose referral: without these a claim would lack its 2010AA, 2310A and 2310C loops."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.sealed import SealedTextField
from backend.apps.core.validators import validate_npi, validate_phone

TAXONOMY = RegexValidator(r"^[0-9A-Z]{9}X$", "Ten characters of the provider taxonomy, as 207Q00000X.")
STATE = RegexValidator(r"^[A-Z]{2}$", "Two capital letters, as TX.")
ZIP = RegexValidator(r"^[0-9]{5}(-?[0-9]{4})?$", "Five or nine digits, as 78702-1234.")
CLIA = RegexValidator(r"^[0-9]{2}D[0-9]{7}$", "A CLIA number has ten characters, as 45D1234567.")


def address_line(*, blank: bool = True) -> models.CharField:
    return models.CharField(max_length=55, blank=blank, default="")


class TaxId(models.TextChoices):
    EMPLOYER = "EI", "employer's number"
    SOCIAL_SECURITY = "SY", "social security number"


class BillingEntity(ClinicModel):
    """Who is paid: the practice, or a doctor who bills in his own name. The number for taxes is sealed."""

    access: ClassVar[scope.Access] = scope.STAFF_ONLY

    name = models.CharField(max_length=60, help_text="The organisation; of a person the last name.")
    first_name = models.CharField(max_length=35, blank=True, default="", help_text="Only where a person bills.")
    npi = models.CharField("NPI", max_length=10, validators=[validate_npi])
    taxonomy = models.CharField(max_length=10, blank=True, default="", validators=[TAXONOMY])
    tax_id = SealedTextField(max_length=9, validators=[RegexValidator(r"^[0-9]{9}$", "Nine digits.")])
    tax_id_type = models.CharField(max_length=2, choices=TaxId, default=TaxId.EMPLOYER)
    clia_number = models.CharField("CLIA number", max_length=10, blank=True, default="", validators=[CLIA])
    address_line1 = address_line(blank=False)
    address_line2 = address_line()
    city = models.CharField(max_length=30)
    state = models.CharField(max_length=2, validators=[STATE])
    postal_code = models.CharField(max_length=10, validators=[ZIP])
    pay_to_address_line1 = address_line()
    pay_to_address_line2 = address_line()
    pay_to_city = models.CharField(max_length=30, blank=True, default="")
    pay_to_state = models.CharField(max_length=2, blank=True, default="", validators=[STATE])
    pay_to_postal_code = models.CharField(max_length=10, blank=True, default="", validators=[ZIP])
    contact_name = models.CharField(max_length=60)
    contact_phone = models.CharField(max_length=16, validators=[validate_phone])
    contact_email = models.EmailField(blank=True, default="")
    is_default = models.BooleanField(default=False, help_text="Bills every claim that names nobody else.")

    class Meta(ClinicModel.Meta):
        verbose_name_plural = "billing entities"
        ordering = ["name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True, is_deleted=False),
                name="insurance_billingentity_one_default",
                violation_error_message="Another one bills by default.",
            ),
            models.CheckConstraint(condition=Q(tax_id_type__in=TaxId.values), name="insurance_billingentity_tax_type"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["name", "id"], name="billing_name")]

    @property
    def admin_label(self) -> str:
        return self.name


class ServiceFacility(ClinicModel):
    """A place of service that is not at the address of who bills."""

    access: ClassVar[scope.Access] = scope.STAFF_ONLY

    name = models.CharField(max_length=60)
    npi = models.CharField("NPI", max_length=10, blank=True, default="", validators=[validate_npi])
    clia_number = models.CharField("CLIA number", max_length=10, blank=True, default="", validators=[CLIA])
    place_of_service = models.CharField(max_length=2, default="11", validators=[RegexValidator(r"^[0-9]{2}$")])
    address_line1 = address_line(blank=False)
    address_line2 = address_line()
    city = models.CharField(max_length=30)
    state = models.CharField(max_length=2, validators=[STATE])
    postal_code = models.CharField(max_length=10, validators=[ZIP])
    is_active = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        verbose_name_plural = "service facilities"
        ordering = ["name", "id"]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["name", "id"], name="facility_name")]

    @property
    def admin_label(self) -> str:
        return self.name


class ReferringProvider(ClinicModel):
    """A doctor of another practice who sends patients here."""

    access: ClassVar[scope.Access] = scope.STAFF_ONLY

    first_name = models.CharField(max_length=35)
    last_name = models.CharField(max_length=60)
    npi = models.CharField("NPI", max_length=10, unique=True, validators=[validate_npi])
    is_active = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["last_name", "first_name", "id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["last_name", "first_name", "id"], name="referring_name")
        ]

    @property
    def admin_label(self) -> str:
        return f"{self.last_name}, {self.first_name} ({self.npi})"
