"""What of a look-up in a public registry goes over the wire."""

from __future__ import annotations

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.credentials.models import RegistryCheck, RegistryOutcome


class RegistryCheckSerializer(ClinicSerializer):
    class Meta:
        model = RegistryCheck
        fields = [
            "id", "user", "source", "edition", "outcome", "finding", "checked_at", "settled_as", "settled_by",
            "settled_at", "note", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class SettleForm(Form):
    settled_as = serializers.ChoiceField(choices=RegistryOutcome.choices)
    note = serializers.CharField(max_length=300, help_text="How you know: whom you asked, what you saw.")
