"""What somebody proves themselves by beside the password: a device that shows codes, or a code on paper."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core.bases import UUIDModel
from backend.apps.core.sealed import SealedField
from backend.apps.users.models.people import User


class Authenticator(UUIDModel):
    """A device that shows time-based codes (RFC 6238: SHA-1, 6 digits, 30 s); it counts once a code confirmed it.

    One that is not confirmed stands beside the old one until its first code is right.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="authenticators")
    secret = SealedField(editable=False)  # base32
    made_in = models.UUIDField(null=True, editable=False)  # the sign-in that was shown the secret, and no other
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_counter = models.BigIntegerField(
        default=0, editable=False
    )  # a code of it, or of an earlier one, is spent

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(confirmed_at__isnull=False), name="users_authenticator_one_confirmed"
            ),
            models.UniqueConstraint(
                fields=["user"], condition=Q(confirmed_at__isnull=True), name="users_authenticator_one_waits"
            ),
        ]

    def __str__(self) -> str:
        return f"authenticator {self.pk}"


class RecoveryCode(UUIDModel):
    """One code for the day the device is lost. 120 bits, so that a plain SHA-256 of it tells nothing."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "digest"], name="users_recoverycode_once")
        ]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"
