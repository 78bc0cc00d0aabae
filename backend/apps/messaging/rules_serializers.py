"""What of the rules of writing to patients goes over the wire."""

from __future__ import annotations

from functools import cached_property

from rest_framework import serializers

from backend.apps.core.models import Clinic
from backend.apps.core.serializers import ClinicSerializer
from backend.apps.messaging import contact_rules
from backend.apps.messaging.models import ContactRules


class ContactRulesSerializer(ClinicSerializer):
    notices = serializers.SerializerMethodField(help_text="What of this should be changed before patients read it.")

    class Meta:
        model = ContactRules
        fields = [
            "id", "display_name", "opens_at", "closes_at", "texts_a_day", "texts_a_week", "least_gap_hours",
            "default_language", "reply_to", "notices", "created_at", "updated_at",
        ]  # fmt: skip

    @cached_property
    def clinic(self) -> Clinic:
        return Clinic.current()

    def get_notices(self, row: ContactRules) -> list[str]:
        return contact_rules.notices(row, self.clinic)
