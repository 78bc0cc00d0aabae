"""What of critical results goes over the wire, to those who answer for them; the pages themselves tell none of it."""

from __future__ import annotations

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.laboratory.models import CriticalPage, CriticalPolicy, CriticalResult, CriticalStep


class CriticalStepSerializer(ClinicSerializer):
    class Meta:
        model = CriticalStep
        fields = ["id", "kind", "at", "by", "recipient", "told", "read_back", "note"]
        read_only_fields = fields


class CriticalResultSerializer(ClinicSerializer):
    patient_name = serializers.CharField(source="patient.full_name", read_only=True)
    doctor_name = serializers.CharField(source="doctor.full_name", read_only=True, default=None)
    lab_order = serializers.UUIDField(source="result.lab_order_id", read_only=True)
    order_number = serializers.CharField(source="result.lab_order.order_number", read_only=True)
    test_name = serializers.CharField(read_only=True)
    result_value = serializers.CharField(source="result.result_value", read_only=True)
    unit = serializers.CharField(source="result.unit", read_only=True)
    abnormal_flag = serializers.CharField(source="result.abnormal_flag", read_only=True)
    result_status = serializers.CharField(source="result.status", read_only=True)
    result_date = serializers.DateTimeField(source="result.result_date", read_only=True)
    steps = CriticalStepSerializer(many=True, read_only=True)

    class Meta:
        model = CriticalResult
        fields = [
            "id", "result", "patient", "patient_name", "doctor", "doctor_name", "lab_order", "order_number",
            "test_name", "result_value", "unit", "abnormal_flag", "result_status", "result_date", "status", "tier",
            "rounds", "due_at", "acknowledged_by", "acknowledged_at", "read_back", "how", "closed_at",
            "closed_reason", "steps", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class CriticalPageSerializer(ClinicSerializer):
    class Meta:
        model = CriticalPage
        fields = [
            "id", "critical_result", "recipient", "subject", "tier", "channel", "status", "sent_at", "external_id",
            "work_state", "attempts", "due_at", "last_error", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class CriticalPolicySerializer(ClinicSerializer):
    class Meta:
        model = CriticalPolicy
        fields = [
            "id", "covering_after_minutes", "administrators_after_minutes", "repeat_minutes", "max_age_hours",
            "channel", "created_at", "updated_at",
        ]  # fmt: skip


class AcknowledgeForm(Form):
    read_back = serializers.CharField(max_length=200)


class NoteCallForm(Form):
    told = serializers.CharField(max_length=120)
    read_back = serializers.CharField(max_length=200, required=False, allow_blank=True)
