"""What of recalls and their rules goes over the wire."""

from __future__ import annotations

from typing import ClassVar

from rest_framework import serializers

from backend.apps.appointments.models import Recall, RecallRule
from backend.apps.core.serializers import ClinicSerializer


class RecallRuleSerializer(ClinicSerializer):
    class Meta:
        model = RecallRule
        fields = ["id", "name", "appointment_type", "after_days", "is_active", "created_at", "updated_at"]


class RecallSerializer(ClinicSerializer):
    patient_name = serializers.CharField(source="patient.full_name", read_only=True)

    class Meta:
        model = Recall
        fields = [
            "id", "patient", "patient_name", "rule", "appointment_type", "due_on", "reason", "status",
            "reminded_times", "reminded_at", "handed_over_at", "appointment", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "rule", "status", "reminded_times", "reminded_at", "handed_over_at", "appointment",
        ]  # fmt: skip
