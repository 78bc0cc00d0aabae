"""Who sends us laboratory messages and how we treat them; without this every stranger's message would be taken."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.models import Clinic, validate_time_zone

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
VERSION = re.compile(r"2\.[0-9](\.[0-9])?")


def texts(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > 50 or not all(isinstance(item, str) for item in value):
        raise ValidationError("Write a list of at most 50 texts.", code="shape")
    return value


def validate_networks(value: Any) -> None:
    """Accept a list of addresses and networks, as ["10.1.0.0/16", "192.0.2.7"]."""
    for item in texts(value):
        try:
            ipaddress.ip_network(item)
        except ValueError:
            raise ValidationError("Write addresses or networks, as 10.1.0.0/16.", code="network") from None


def validate_fingerprints(value: Any) -> None:
    """Accept a list of SHA-256 fingerprints of certificates, 64 small hexadecimal digits each."""
    if not all(FINGERPRINT.fullmatch(item) for item in texts(value)):
        raise ValidationError("Write SHA-256 fingerprints: 64 digits 0-9 a-f each.", code="fingerprint")


def validate_versions(value: Any) -> None:
    if not all(VERSION.fullmatch(item) for item in texts(value)):
        raise ValidationError("Write HL7 versions, as 2.5.1.", code="version")


class AckMode(models.TextChoices):
    """When a message is answered. Commit and application acknowledgements: HL7 v2.5.1, chapter 2, section 2.9."""

    AS_ASKED = "as_asked", "as the sender asks in MSH-15 and MSH-16"
    ORIGINAL = "original", "AA, AE or AR once it is stored"
    DEFERRED = "deferred", "AA, AE or AR once it is filed"
    ENHANCED = "enhanced", "CA, CE or CR once it is stored, then AA, AE or AR once it is filed"


class MatchPolicy(models.TextChoices):
    NUMBER = "number", "record number that fits name and date of birth"
    AUTHORITY = "authority", "record number of our assigning authority that fits name and date of birth"
    WORKLIST = "worklist", "a person decides about every message"


class AdtPolicy(models.TextChoices):
    OFF = "off", "refuse"
    UPDATE = "update", "update demographics"
    MERGE = "merge", "update demographics and merge records"


class OrderMessage(models.TextChoices):
    NONE = "", "orders are not sent"
    OML = "OML^O21"
    ORM = "ORM^O01"


ORDER_VERSIONS: dict[str, tuple[str, str]] = {OrderMessage.OML: ("2.4", "2.8.2"), OrderMessage.ORM: ("2.3", "2.6")}


class LabFeed(ClinicModel):
    """One laboratory's feed.

    `sending_application` and `sending_facility` are what its messages carry in MSH-3 and MSH-4 (the whole field or its
    first component); empty fits any. The feed that fits most closely counts. A sender without a feed is refused.
    """

    access: ClassVar[scope.Access] = scope.SHARED

    name = models.CharField(max_length=120, unique=True)
    is_active = models.BooleanField(default=True)
    clia_number = models.CharField(
        "CLIA",
        max_length=10,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^\d{2}D\d{7}$", "Ten characters, as 12D3456789.")],
    )
    sending_application = models.CharField(max_length=250, blank=True)
    sending_facility = models.CharField(max_length=250, blank=True)
    versions = models.JSONField(
        default=list, blank=True, validators=[validate_versions], help_text="Empty: every version."
    )
    processing_ids = models.CharField(max_length=3, default="P", help_text="MSH-11 that is taken: P, T and D.")
    charset = models.CharField(max_length=40, blank=True, help_text="Where MSH-18 is empty; as ISO 8859/1.")
    time_zone = models.CharField(
        max_length=64, blank=True, validators=[validate_time_zone], help_text="Where a time has no offset."
    )
    assigning_authority = models.CharField(max_length=200, blank=True, help_text="PID-3.4 of our record numbers.")
    match_policy = models.CharField(max_length=9, choices=MatchPolicy, default=MatchPolicy.NUMBER)
    ack_mode = models.CharField(max_length=8, choices=AckMode, default=AckMode.AS_ASKED)
    adt_policy = models.CharField(max_length=6, choices=AdtPolicy, default=AdtPolicy.OFF)
    takes_unknown_types = models.BooleanField(
        default=False, help_text="Store and acknowledge messages of types that are not used here."
    )
    allowed_networks = models.JSONField(
        default=list, blank=True, validators=[validate_networks], help_text="Empty: any address."
    )
    allowed_certificates = models.JSONField(
        default=list, blank=True, validators=[validate_fingerprints], help_text="Empty: none is asked for."
    )
    certificate_ends_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Of the one its last messages came with."
    )
    silence_minutes = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(5)], help_text="Empty: learned from its own rhythm."
    )
    order_message = models.CharField(max_length=7, choices=OrderMessage, blank=True, default=OrderMessage.NONE)
    order_version = models.CharField(max_length=5, default="2.5.1")
    order_host = models.CharField(max_length=253, blank=True)
    order_port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    order_tls = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["sending_application", "sending_facility"],
                condition=Q(is_deleted=False, is_active=True),
                name="laboratory_labfeed_one_sender",
                violation_error_message="Another active feed is of this sender.",
            ),
            models.CheckConstraint(condition=~Q(name=""), name="laboratory_labfeed_named"),
            models.CheckConstraint(condition=Q(processing_ids__regex="^[PTD]{1,3}$"), name="laboratory_labfeed_ids"),
            models.CheckConstraint(
                condition=Q(order_message="") | (~Q(order_host="") & Q(order_port__isnull=False)),
                name="laboratory_labfeed_order_address",
                violation_error_message="Orders that are sent need a host and a port.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-created_at", "id"], name="labfeed_newest")]

    @property
    def admin_label(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        first, last = ORDER_VERSIONS.get(self.order_message, ("", ""))
        if self.order_message and not first <= self.order_version <= last:
            sentence = f"{self.order_message} exists from version {first} to {last}."
            raise ValidationError({"order_version": sentence})

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times without an offset: the laboratory's own, else the clinic's."""
        return ZoneInfo(self.time_zone) if self.time_zone else Clinic.current().zone
