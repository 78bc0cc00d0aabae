"""What of a note goes over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.clinical_notes.models import ClinicalNote, ClinicalNoteTemplate, ProgressNote, SOAPNote
from backend.apps.clinical_notes.units import metric
from backend.apps.core.serializers import ClinicSerializer

UNITS = (("metric", "°C, kg, cm"), ("imperial", "°F, lb, inches"))


class ClinicalNoteSerializer(ClinicSerializer):
    doctor_name = serializers.CharField(source="doctor.full_name", read_only=True)

    class Meta:
        model = ClinicalNote
        fields = [
            "id", "patient", "doctor", "doctor_name", "appointment", "note_type", "chief_complaint", "content",
            "diagnosis", "treatment_plan", "follow_up_instructions", "follow_up_date", "attachments", "amends",
            "is_signed", "signed_at", "signed_by", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["amends", "is_signed", "signed_at", "signed_by"]
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "doctor": {"required": False, "help_text": "Who will sign; a doctor who writes is it already."}
        }


class SOAPNoteSerializer(ClinicSerializer):
    units = serializers.ChoiceField(
        choices=UNITS,
        write_only=True,
        required=False,
        help_text="What temperature, weight and height are given in; answers are always metric.",
    )
    bmi = serializers.DecimalField(max_digits=4, decimal_places=1, read_only=True, allow_null=True)
    blood_pressure = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = SOAPNote
        fields = [
            "id", "clinical_note", "subjective", "objective", "assessment", "plan", "units", "temperature",
            "blood_pressure_systolic", "blood_pressure_diastolic", "blood_pressure", "heart_rate", "respiratory_rate",
            "oxygen_saturation", "weight", "height", "bmi", "created_at", "updated_at",
        ]  # fmt: skip

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("units") == "imperial":
            data = metric(data)
        values = super().to_internal_value(data)
        values.pop("units", None)
        return values


class ProgressNoteSerializer(ClinicSerializer):
    class Meta:
        model = ProgressNote
        fields = [
            "id", "clinical_note", "current_status", "progress_since_last_visit", "symptoms_update",
            "medications_review", "treatment_effectiveness", "plan_modifications", "treatment_goals",
            "goals_achieved", "next_steps", "created_at", "updated_at",
        ]  # fmt: skip


class ClinicalNoteTemplateSerializer(ClinicSerializer):
    class Meta:
        model = ClinicalNoteTemplate
        fields = [
            "id", "name", "description", "note_type", "template_content", "doctor", "created_at", "updated_at",
        ]  # fmt: skip
