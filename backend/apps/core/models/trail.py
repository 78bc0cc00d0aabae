"""The audit log, and the keys that make a repeated POST harmless."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from backend.apps.core import scope
from backend.apps.core.bases import UUIDModel, uuid7


class AuditLog(models.Model):
    """Who did what to which row, and whether it was allowed. Rows are only ever added: a trigger sees to it.

    `detail` holds names of fields, counts and ids, never values.
    """

    class Outcome(models.TextChoices):
        ALLOWED = "allowed"
        REFUSED = "refused"
        FAILED = "failed"

    access: ClassVar[scope.Access] = scope.Access(patient="patient_id", sees_all=frozenset())

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
