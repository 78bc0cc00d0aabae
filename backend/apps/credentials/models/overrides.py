"""That an administrator let a doctor go on without a credential for some hours; else late paper stops a clinic."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.employees.models import CredentialType

LONGEST_OVERRIDE = timedelta(hours=72)


class CredentialOverride(ClinicModel):
    """From `granted_at` until `expires_at` or `ended_at` the doctor may do what the missing credential forbids."""

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset(), owners=("doctor__user",))

    doctor = models.ForeignKey("doctors.Doctor", on_delete=models.PROTECT, related_name="credential_overrides")
    credential_type = models.CharField(max_length=20, choices=CredentialType)
    reason = models.CharField(max_length=300)
    granted_by = models.ForeignKey("users.User", editable=False, on_delete=models.PROTECT, related_name="+")
    granted_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(help_text="At most 72 hours from now.")
    ended_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-granted_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(credential_type__in=CredentialType.values), name="credentials_override_type_known"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("granted_at"), expires_at__lte=F("granted_at") + LONGEST_OVERRIDE),
                name="credentials_override_72_hours_at_most",
                violation_error_message="An exception lasts 72 hours at most.",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="credentials_override_has_reason"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["doctor", "credential_type", "-expires_at"], name="credential_override_of"),
            models.Index(fields=["-granted_at", "id"], name="credential_override_newest"),
            models.Index(fields=["credential_type", "-granted_at"], name="credential_override_type"),
        ]

    def is_active_at(self, moment: datetime) -> bool:
        return self.granted_at <= moment < min(self.expires_at, self.ended_at or self.expires_at)
