"""What of the rules of writing to patients goes over the wire."""

from __future__ import annotations

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.messaging.models import ContactRules


class ContactRulesSerializer(ClinicSerializer):
    class Meta:
        model = ContactRules
        fields = [
            "id", "display_name", "opens_at", "closes_at", "texts_a_day", "texts_a_week", "least_gap_hours",
            "default_language", "reply_to", "created_at", "updated_at",
        ]  # fmt: skip
