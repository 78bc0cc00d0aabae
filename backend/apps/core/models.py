"""The practice's own profile, the audit log, alerts and the keys that make a repeated POST harmless."""

from __future__ import annotations

import zoneinfo
from datetime import date
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel, uuid7
from backend.apps.core.validators import validate_npi, validate_phone


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError("This is not the name of a time zone, such as America/New_York.")


class Clinic(ClinicModel):
    """The practice itself: one row, what partners and patients are told about us."""

    access: ClassVar[scope.Access] = scope.SHARED

    name = models.CharField(max_length=200)
    npi_number = models.CharField("NPI", max_length=10, blank=True, validators=[validate_npi])
    tax_id = models.CharField(
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


class AuditLog(models.Model):
    """Who did what to which row, and whether it was allowed. Rows are only ever added: a trigger sees to it.

    `detail` holds names of fields, counts and ids, never values.
    """

    class Outcome(models.TextChoices):
        ALLOWED = "allowed"
        REFUSED = "refused"
        FAILED = "failed"

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    timestamp = models.DateTimeField(db_default=Now(), editable=False)
    user = models.ForeignKey(
        "users.User",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    action = models.CharField(max_length=60)
    resource_type = models.CharField(max_length=60)
    resource_id = models.CharField(max_length=64, blank=True)
    patient_id = models.UUIDField(null=True, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.ALLOWED)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-timestamp"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-timestamp"], name="audit_time"),
            models.Index(
                fields=["resource_type", "resource_id", "-timestamp"],
                name="audit_resource",
            ),
            models.Index(fields=["user", "-timestamp"], name="audit_user"),
            models.Index(fields=["patient_id", "-timestamp"], name="audit_patient"),
            models.Index(
                fields=["outcome", "-timestamp"], name="audit_refused", condition=~models.Q(outcome="allowed")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.resource_type} {self.resource_id}"


class IdempotentRequest(UUIDModel):
    """A POST that was done under an Idempotency-Key, so that its repetition answers and does nothing."""

    user = models.ForeignKey("users.User", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)  # keyed digest of method, path and body
    status_code = models.PositiveSmallIntegerField(default=0)
    resource_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "key"], name="core_idempotentrequest_once")
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["created_at"], name="idempotent_age")]

    def __str__(self) -> str:
        return f"idempotent request {self.pk}"


class Heartbeat(models.Model):
    """One row per entry of the beat schedule: when it last ran, so that a beat that stopped is seen."""

    entry = models.CharField(max_length=80, primary_key=True)
    last_run_at = models.DateTimeField()
    runs = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return self.entry


class AlertSeverity(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(ClinicModel):
    """Something that is wrong and that a person has to know of: one open row per `cause`, whoever notices it again.

    `cause` names what is wrong ("feed silent:<feed id>"), `kind` what sort of thing that is, beginning with the part of
    the clinic ("lab_feed_silent"); `sentence` tells a person. None of them holds a patient's data. `times` counts how
    often it began, `last_seen_at` is when a machine last found it so. Resolved without `resolved_by`: it went away.
    """

    Severity = AlertSeverity

    access: ClassVar[scope.Access] = scope.Access(
        sees_all=frozenset(), common=models.Q(kind__startswith="lab_")
    )  # the administrator sees all, the laboratory its own

    cause = models.CharField(max_length=160, editable=False)
    kind = models.CharField(max_length=60, editable=False, validators=[RegexValidator(r"^[a-z]+(_[a-z]+)+$")])
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.WARNING, editable=False)
    subject_type = models.CharField(max_length=60, blank=True, editable=False)
    subject_id = models.CharField(max_length=64, blank=True, editable=False)
    sentence = models.CharField(max_length=300, editable=False)
    opened_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(default=timezone.now, editable=False)
    times = models.PositiveIntegerField(default=1, editable=False)
    acknowledged_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True, editable=False)
    resolved_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-opened_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["cause"], condition=models.Q(resolved_at__isnull=True), name="core_alert_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(severity__in=AlertSeverity.values), name="core_alert_severity_known"
            ),
            models.CheckConstraint(condition=~models.Q(sentence=""), name="core_alert_says_something"),
            models.CheckConstraint(
                condition=models.Q(acknowledged_by__isnull=True) | models.Q(acknowledged_at__isnull=False),
                name="core_alert_acknowledged_when",
            ),
            models.CheckConstraint(
                condition=models.Q(resolved_by__isnull=True) | models.Q(resolved_at__isnull=False),
                name="core_alert_resolved_when",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["cause", "-resolved_at"], name="alert_cause"),
            models.Index(fields=["kind", "-opened_at"], name="alert_kind"),
            models.Index(fields=["severity", "-opened_at"], name="alert_severity"),
            models.Index(fields=["subject_id"], name="alert_subject", condition=~models.Q(subject_id="")),
            models.Index(fields=["-opened_at", "id"], name="alert_newest"),
            models.Index(fields=["resolved_at", "-opened_at"], name="alert_resolved"),
        ]

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None
