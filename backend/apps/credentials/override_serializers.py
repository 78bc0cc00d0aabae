"""What of an exception from a missing credential goes over the wire."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.credentials.models import LONGEST_OVERRIDE, CredentialOverride

MOST_HOURS = LONGEST_OVERRIDE.days * 24


class CredentialOverrideSerializer(ClinicSerializer):
    hours = serializers.IntegerField(
        min_value=1, max_value=MOST_HOURS, required=False, write_only=True, help_text="From now, in place of a time."
    )
    is_active = serializers.SerializerMethodField()

    class Meta:
        model = CredentialOverride
        fields = [
            "id", "doctor", "credential_type", "reason", "hours", "expires_at", "is_active", "granted_by", "granted_at",
            "ended_by", "ended_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["granted_by", "granted_at", "ended_by", "ended_at"]
        extra_kwargs: ClassVar[dict[str, Any]] = {"expires_at": {"required": False}}

    def get_is_active(self, override: CredentialOverride) -> bool:
        return override.is_active_at(timezone.now())
