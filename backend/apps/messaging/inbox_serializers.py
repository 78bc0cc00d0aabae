"""What of patients' texts and of the desk's tasks goes over the wire."""

from __future__ import annotations

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.messaging.models import InboundText, StaffTask


class InboundTextSerializer(ClinicSerializer):
    class Meta:
        model = InboundText
        fields = [
            "id", "from_number", "to_number", "body", "intent", "outcome", "patient", "answers_id", "received_at",
            "handled_by", "handled_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class StaffTaskSerializer(ClinicSerializer):
    class Meta:
        model = StaffTask
        fields = [
            "id", "kind", "patient", "subject_id", "sentence", "note", "done_by", "done_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class HandleForm(Form):
    note = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="What is left to do; it becomes a task."
    )


class CompleteForm(Form):
    note = serializers.CharField(max_length=300, required=False, allow_blank=True, help_text="What was done about it.")
