"""What of break-glass goes over the wire; who does not see the patient is told an id and initials, and no more."""

from __future__ import annotations

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.patients.emergency_models import SHORTEST_REASON, EmergencyAccess, Verdict
from backend.apps.patients.models import Patient


class EmergencyAccessSerializer(ClinicSerializer):
    class Meta:
        model = EmergencyAccess
        fields = [
            "id", "user", "patient", "reason", "started_at", "ends_at", "ended_by_merge", "verdict", "review_note",
            "reviewed_by", "reviewed_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class FindForm(Form):
    medical_record_number = serializers.CharField(max_length=32, help_text="The whole number.")
    date_of_birth = serializers.DateField()


class FoundSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    initials = serializers.SerializerMethodField()

    def get_initials(self, patient: Patient) -> str:
        return f"{patient.first_name[:1]}{patient.last_name[:1]}".upper()


class BreakGlassForm(Form):
    reason = serializers.CharField(
        min_length=SHORTEST_REASON, max_length=500, help_text="Why the record is needed now; a reviewer reads it."
    )


class ReviewForm(Form):
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    note = serializers.CharField(max_length=1000, required=False, allow_blank=True)
