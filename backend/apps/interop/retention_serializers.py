"""Rules and runs of retention as the API tells of them."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.models import RetentionRule, RetentionRun
from backend.apps.core.serializers import ClinicSerializer, Form


class RetentionRuleSerializer(ClinicSerializer):
    class Meta:
        model = RetentionRule
        fields = [
            "id", "data_class", "keep_days", "legal_floor_days", "legal_source", "is_active", "reason", "changed_at",
            "looked_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ("is_active", "reason", "changed_at", "looked_at")
        extra_kwargs: ClassVar[dict[str, Any]] = {"keep_days": {"required": False}}


class RetentionRunSerializer(ClinicSerializer):
    class Meta:
        model = RetentionRun
        fields = [
            "id", "data_class", "is_dry", "cutoff", "found", "found_in", "removed", "by", "ended_at", "created_at",
            "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class ReasonForm(Form):
    reason = serializers.CharField(max_length=300)
