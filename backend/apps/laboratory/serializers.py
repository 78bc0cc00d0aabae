"""What of tests, orders and results goes over the wire; without it the API would show whatever a table holds."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backend.apps.core.roles import Role
from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.laboratory.models import AbnormalFlag, LabOrder, LabOrderMessage, LabResult, LabTest

LONGEST_TEXT = 20_000


class LabTestSerializer(ClinicSerializer):
    normal_range_display = serializers.CharField(read_only=True)

    class Meta:
        model = LabTest
        fields = [
            "id", "test_code", "code_system", "test_name", "test_category", "specimen_type",
            "preparation_instructions", "normal_range_min", "normal_range_max", "critical_low", "critical_high",
            "unit_of_measure", "normal_range_display", "price", "turnaround_time_hours", "is_active", "created_at",
            "updated_at",
        ]  # fmt: skip


class LastMessageSerializer(serializers.ModelSerializer):
    class Meta:
        model = LabOrderMessage
        fields = ["id", "control", "status", "status_reason", "sent_at", "answered_at"]


class LabOrderSerializer(ClinicSerializer):
    patient_name = serializers.CharField(source="patient.full_name", read_only=True)
    doctor_name = serializers.CharField(source="doctor.full_name", read_only=True, default=None)
    filler_order_numbers: serializers.Field = serializers.SlugRelatedField(
        source="filler_numbers", slug_field="number", many=True, read_only=True
    )
    last_message = serializers.SerializerMethodField(help_text="The state of what the laboratory was told last.")
    overdue_tests = serializers.ListField(child=serializers.UUIDField(), read_only=True)
    is_completed = serializers.BooleanField(read_only=True)
    is_urgent = serializers.BooleanField(read_only=True)

    class Meta:
        model = LabOrder
        fields = [
            "id", "order_number", "patient", "patient_name", "doctor", "doctor_name", "appointment", "tests", "feed",
            "last_message", "status",
            "priority", "clinical_indication", "diagnosis_code", "order_date", "placer_order_number",
            "filler_order_numbers", "is_external", "specimen_collected_at", "completed_at", "cancelled_at",
            "cancelled_by", "cancellation_reason", "reviewed_by", "reviewed_at", "overdue_tests", "is_completed",
            "is_urgent",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "order_number", "status", "order_date", "placer_order_number", "is_external", "specimen_collected_at",
            "completed_at", "cancelled_at", "cancelled_by", "cancellation_reason", "reviewed_by", "reviewed_at",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "tests": {"required": True, "allow_empty": False},
            "doctor": {"required": False},
        }

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        user: Any = getattr(self.context.get("request"), "user", None)
        if getattr(user, "role", None) == Role.PATIENT:
            del fields["last_message"]  # says what the staff has to do about it; `LabOrderMessage.access` hides it too
        return fields

    @extend_schema_field(LastMessageSerializer(allow_null=True))
    def get_last_message(self, order: LabOrder) -> dict[str, Any] | None:
        rows = list(order.messages.all())
        return dict(LastMessageSerializer(rows[0]).data) if rows else None


class LabResultSerializer(ClinicSerializer):
    patient = serializers.UUIDField(source="lab_order.patient_id", read_only=True)
    test_name = serializers.CharField(source="lab_test.test_name", read_only=True, default=None)
    is_abnormal = serializers.BooleanField(read_only=True)
    is_critical = serializers.BooleanField(read_only=True)
    status = serializers.ChoiceField(choices=["preliminary", "final"], default="final")

    class Meta:
        model = LabResult
        fields = [
            "id", "lab_order", "patient", "lab_test", "test_name", "status", "abnormal_flag", "result_value",
            "numeric_value", "value_type", "unit", "reference_range", "interpretation", "result_date", "reported_at",
            "verified_by", "verified_at", "released_at", "file_attachment", "code_as_sent", "code_text_as_sent",
            "code_system_as_sent", "other_code_as_sent", "other_text_as_sent", "other_system_as_sent", "unit_as_sent",
            "flags_as_sent", "panel_code", "sub_id", "group_key", "parent_key", "mapping", "source_message",
            "source_segment", "observation_index", "entered_by", "version", "is_current", "supersedes", "is_abnormal",
            "is_critical", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "value_type", "reported_at", "verified_by", "verified_at", "released_at", "code_as_sent",
            "code_text_as_sent", "code_system_as_sent", "other_code_as_sent", "other_text_as_sent",
            "other_system_as_sent", "unit_as_sent", "flags_as_sent", "panel_code", "group_key", "parent_key", "mapping",
            "source_message", "source_segment", "observation_index", "entered_by", "version", "is_current",
            "supersedes",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "lab_test": {"required": True, "allow_null": False},
            "result_value": {"required": True, "allow_blank": False, "max_length": LONGEST_TEXT},
            "interpretation": {"max_length": LONGEST_TEXT},
            "unit": {"max_length": 60},
            "reference_range": {"max_length": 200},
        }

    def to_representation(self, instance: LabResult) -> dict[str, Any]:
        """Show the stored status: what a laboratory sent may be more than what can be entered by hand."""
        return {**super().to_representation(instance), "status": instance.status}


class CancelForm(Form):
    reason = serializers.CharField(max_length=300)


class CorrectForm(Form):
    result_value = serializers.CharField(max_length=LONGEST_TEXT)
    numeric_value = serializers.DecimalField(max_digits=28, decimal_places=10, required=False, allow_null=True)
    abnormal_flag = serializers.ChoiceField(choices=AbnormalFlag.choices, required=False, allow_blank=True)
    unit = serializers.CharField(max_length=60, required=False, allow_blank=True)
    reference_range = serializers.CharField(max_length=200, required=False, allow_blank=True)
    interpretation = serializers.CharField(max_length=LONGEST_TEXT, required=False, allow_blank=True)
    result_date = serializers.DateTimeField(required=False)
