"""What of paid days goes over the wire: the policies, and the entries that explain a balance."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.employees.models import PtoEntry, TimeOffPolicy


class TimeOffPolicySerializer(ClinicSerializer):
    class Meta:
        model = TimeOffPolicy
        fields = [
            "id", "employment_type", "days_a_month", "most_days", "carry_over_days", "accrues_on_leave", "begins_on",
            "is_active", "created_at", "updated_at",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {"begins_on": {"required": False}}


class PtoEntrySerializer(ClinicSerializer):
    class Meta:
        model = PtoEntry
        fields = [
            "id", "employee", "kind", "period", "effective_on", "days", "by", "note", "time_off", "created_at",
            "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class CorrectionForm(Form):
    days = serializers.DecimalField(max_digits=5, decimal_places=2, help_text="To add; negative: to take.")
    note = serializers.CharField(max_length=300, help_text="Why.")
