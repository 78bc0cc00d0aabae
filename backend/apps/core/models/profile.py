"""The practice's own profile: what partners and patients are told about us."""

from __future__ import annotations

import zoneinfo
from datetime import date
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import ClinicModel
from backend.apps.core.sealed import SealedTextField
from backend.apps.core.validators import validate_npi, validate_phone


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError("This is not the name of a time zone, such as America/New_York.")


class Clinic(ClinicModel):
    """The practice itself: one row, what partners and patients are told about us."""

    access: ClassVar[scope.Access] = scope.SHARED

    name = models.CharField(max_length=200)
    npi_number = models.CharField("NPI", max_length=10, blank=True, validators=[validate_npi])
    tax_id = SealedTextField(
        max_length=10,
        blank=True,
        validators=[RegexValidator(r"^\d{2}-?\d{7}$", "Nine digits, as 12-3456789.")],
    )
    taxonomy_code = models.CharField(
        max_length=10,
        blank=True,
        validators=[RegexValidator(r"^[0-9A-Z]{9}X$", "Ten characters that end in X.")],
    )
    clia_number = models.CharField(
        "CLIA",
        max_length=10,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^\d{2}D\d{7}$", "Ten characters, as 12D3456789.")],
    )
    address_line1 = models.CharField(max_length=120, blank=True)
    address_line2 = models.CharField(max_length=120, blank=True)
    city = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=2, blank=True)
    postal_code = models.CharField(max_length=10, blank=True)
    phone = models.CharField(max_length=16, blank=True, validators=[validate_phone])
    email = models.EmailField(blank=True)
    time_zone = models.CharField(max_length=64, default="America/New_York", validators=[validate_time_zone])
    locale = models.CharField(max_length=12, default="en-US")

    class Meta(ClinicModel.Meta):
        ordering = ["created_at"]

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    @classmethod
    def current(cls) -> Clinic:
        """Return the practice's profile, or an unsaved one with the defaults before it is filled in."""
        return cls.objects.order_by("created_at").first() or cls(name="Clinic")

    @classmethod
    def today(cls) -> date:
        """Return the day it is at the practice."""
        return timezone.localdate(timezone=cls.current().zone)
