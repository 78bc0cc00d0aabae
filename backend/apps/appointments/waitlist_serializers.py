"""What of the waitlist and its offers goes over the wire."""

from __future__ import annotations

from typing import ClassVar

from rest_framework import serializers

from backend.apps.appointments.models import WaitlistEntry, WaitlistOffer
from backend.apps.core.serializers import ClinicSerializer


class WaitlistEntrySerializer(ClinicSerializer):
    patient_name = serializers.CharField(source="patient.full_name", read_only=True)

    class Meta:
        model = WaitlistEntry
        fields = [
            "id", "patient", "patient_name", "doctor", "appointment_type", "duration_minutes", "from_on", "until_on",
            "earliest", "latest", "status", "note", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["status"]


class WaitlistOfferSerializer(ClinicSerializer):
    patient = serializers.UUIDField(source="entry.patient_id", read_only=True)
    doctor = serializers.UUIDField(source="slot.doctor_id", read_only=True)
    starts_at = serializers.DateTimeField(source="slot.starts_at", read_only=True)
    duration_minutes = serializers.IntegerField(source="entry.duration_minutes", read_only=True)

    class Meta:
        model = WaitlistOffer
        fields = [
            "id", "slot", "entry", "patient", "doctor", "starts_at", "duration_minutes", "status", "held_until",
            "sent_at", "appointment", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields
