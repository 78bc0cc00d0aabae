"""How often somebody guessed; in the database, so that no restart of a cache opens a lock."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from backend.apps.core.bases import UUIDModel


class LoginGuard(UUIDModel):
    """Failures of one login or of one person's codes, known or not, under a keyed digest. It goes when one is right.

    Of finding patients every try of a login counts.
    """

    digest = models.CharField(max_length=64, unique=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    began_at = models.DateTimeField(db_default=Now(), editable=False)
    locked_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["began_at"], name="loginguard_oldest")]

    def __str__(self) -> str:
        return f"login guard {self.pk}"
