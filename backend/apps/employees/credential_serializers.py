"""What of credentials goes over the wire, a doctor's and an employee's alike; else each would show other things."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.models import Clinic
from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.employees.models import EmployeeCredential, VerificationMethod
from backend.apps.employees.models.credentials import Credential

CREDENTIAL_FIELDS = [
    "credential_type", "issuing_organization", "number", "state", "issue_date", "expiry_date", "document",
    "has_document", "is_verified", "verified_by", "verified_at", "verification_method", "rejected_by", "rejected_at",
    "rejection_reason", "replaced_by", "is_expired", "is_expiring_soon", "created_at", "updated_at",
]  # fmt: skip
WRITTEN_BY_VERBS = [
    "is_verified", "verified_by", "verified_at", "verification_method", "rejected_by", "rejected_at",
    "rejection_reason", "replaced_by",
]  # fmt: skip


class CredentialSerializer(ClinicSerializer):
    """Subclasses name the model and, before CREDENTIAL_FIELDS, the field that says whose it is."""

    has_document = serializers.SerializerMethodField()
    is_expired = serializers.SerializerMethodField()
    is_expiring_soon = serializers.SerializerMethodField()

    class Meta:
        read_only_fields: ClassVar[list[str]] = WRITTEN_BY_VERBS
        extra_kwargs: ClassVar[dict[str, Any]] = {"document": {"write_only": True}}

    def get_has_document(self, credential: Credential) -> bool:
        return bool(credential.document)

    def get_is_expired(self, credential: Credential) -> bool:
        return credential.is_expired_on(self._today)

    def get_is_expiring_soon(self, credential: Credential) -> bool:
        return credential.is_expiring_soon_on(self._today)

    @cached_property
    def _today(self) -> date:
        """The clinic's day, asked for once per answer and not once per row."""
        return Clinic.today()


class EmployeeCredentialSerializer(CredentialSerializer):
    class Meta(CredentialSerializer.Meta):
        model = EmployeeCredential
        fields = ["id", "employee", *CREDENTIAL_FIELDS]
        extra_kwargs: ClassVar[dict[str, Any]] = {
            **CredentialSerializer.Meta.extra_kwargs,
            "employee": {"required": False, "help_text": "The caller's own file when left out."},
        }


class RenewForm(Form):
    issue_date = serializers.DateField()
    expiry_date = serializers.DateField(allow_null=True, help_text="Later than the one before; null is for ever.")
    document = serializers.FileField(
        required=False, help_text="The new document; only the administrator may add it later."
    )
    number = serializers.CharField(max_length=60, required=False, help_text="The one before when left out.")
    issuing_organization = serializers.CharField(
        max_length=160, required=False, help_text="The one before when left out, unless that was made of a number."
    )
    state = serializers.CharField(
        max_length=2, required=False, help_text="Two capital letters; for one before that names no state."
    )


class VerifyForm(Form):
    method = serializers.ChoiceField(choices=VerificationMethod.choices, default=VerificationMethod.DOCUMENT)


class RejectForm(Form):
    reason = serializers.CharField(max_length=300, help_text="What the holder has to bring instead.")
