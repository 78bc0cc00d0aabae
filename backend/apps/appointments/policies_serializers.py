"""What of the table of reminders goes over the wire."""

from __future__ import annotations

from rest_framework import serializers

from backend.apps.appointments.models import ReminderPolicy
from backend.apps.core.serializers import ClinicSerializer, Form


class ReminderPolicySerializer(ClinicSerializer):
    class Meta:
        model = ReminderPolicy
        fields = [
            "id", "appointment_type", "offset_days", "offset_hours", "channel", "order", "wording", "condition",
            "is_active", "created_at", "updated_at",
        ]  # fmt: skip


class ReplanForm(Form):
    dry_run = serializers.BooleanField(default=True, help_text="Only count what would change.")
    after = serializers.UUIDField(required=False, allow_null=True, help_text="`after` of the answer before this one.")


class TallySerializer(serializers.Serializer):
    """What planning anew did, or would do; call again with `after` until it is null."""

    dry_run = serializers.BooleanField()
    visits = serializers.IntegerField()
    added = serializers.IntegerField()
    moved = serializers.IntegerField()
    taken_back = serializers.IntegerField()
    kept = serializers.IntegerField(help_text="No longer in the table, but what replaces them would have left already.")
    after = serializers.UUIDField(allow_null=True)
