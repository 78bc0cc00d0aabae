"""What of messages and of providers' reports goes over the wire."""

from __future__ import annotations

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.messaging.models import PatientMessage, ProviderEvent


class PatientMessageSerializer(ClinicSerializer):
    class Meta:
        model = PatientMessage
        fields = [
            "id", "patient", "channel", "wording", "subject_id", "status", "status_reason", "scheduled_send_time",
            "useful_until", "sent_at", "delivered_at", "recipient_email", "recipient_phone", "external_id", "provider",
            "provider_status", "error_code", "segments", "fallback_of", "work_state", "attempts", "last_error",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class ProviderEventSerializer(ClinicSerializer):
    """Not the payload: numbers and texts stand in there."""

    class Meta:
        model = ProviderEvent
        fields = [
            "id", "provider", "kind", "attempt_id", "message_id", "provider_status", "error_code", "occurred_at",
            "outcome", "work_state", "attempts", "last_error", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields
