"""The systems that sign in by themselves, and the sign-ins they used up; else any assertion could be replayed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel


class SmartClient(ClinicModel):
    """A backend service that reads by SMART Backend Services; its `id` is its client_id.

    It proves itself with a key of `jwks`, or of the set at `jwks_url`. `scopes` are those it may be granted, as
    "system/Patient.rs system/Observation.rs". Tokens that were issued before `tokens_after` are no longer good.
    """

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    name = models.CharField(max_length=120, unique=True, help_text="Who this is, as the accounting of disclosures says")
    contact = models.CharField(max_length=254, blank=True)
    jwks = models.JSONField("JWK set", null=True, blank=True, help_text="Public keys, inline.")
    jwks_url = models.URLField("JWK set URL", blank=True, max_length=500, help_text="Or where they are published.")
    scopes = models.CharField(max_length=2000, default="system/*.rs")
    purpose = models.CharField(max_length=300, blank=True, help_text="Why data go there; for the accounting.")
    is_active = models.BooleanField(default=True)
    tokens_after = models.DateTimeField(null=True, blank=True, editable=False)
    last_token_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=~Q(name=""), name="interop_smartclient_named"),
            models.CheckConstraint(
                condition=Q(jwks__isnull=True) ^ Q(jwks_url=""),
                name="interop_smartclient_one_key_source",
                violation_error_message="Give the keys either inline or by URL.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-created_at", "id"], name="smartclient_newest")]

    def __str__(self) -> str:
        return self.name


class SmartAssertion(UUIDModel):
    """A signed assertion that was used: the same `jti` of the same client is refused until it has expired."""

    client = models.ForeignKey(SmartClient, on_delete=models.CASCADE, related_name="assertions", db_index=False)
    jti = models.CharField(max_length=64)  # sha-256 of what the client sent, in hex
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["client", "jti"], name="interop_smartassertion_once")
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["expires_at"], name="smartassertion_expiry")]

    def __str__(self) -> str:
        return f"assertion {self.pk}"
