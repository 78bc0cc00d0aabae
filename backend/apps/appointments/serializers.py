"""What of an appointment and its reminders goes over the wire."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.appointments.models import LONGEST, SHORTEST, Appointment, AppointmentReminder
from backend.apps.core.roles import Role
from backend.apps.core.serializers import ClinicSerializer, Form

NOT_FOR_PATIENTS = ("availability_override_reason", "availability_overridden_by")


class AppointmentSerializer(ClinicSerializer):
    patient_name = serializers.CharField(source="patient.full_name", read_only=True)
    doctor_name = serializers.CharField(source="doctor.full_name", read_only=True)
    end_datetime = serializers.DateTimeField(read_only=True)

    class Meta:
        model = Appointment
        fields = [
            "id", "patient", "patient_name", "doctor", "doctor_name", "status", "appointment_type",
            "appointment_datetime", "duration_minutes", "end_datetime", "location", "reason", "checked_in_at",
            "started_at", "checked_out_at", "cancelled_at", "cancellation_reason", "rescheduled_from",
            "availability_override_reason", "availability_overridden_by", "version", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "status", "checked_in_at", "started_at", "checked_out_at", "cancelled_at", "cancellation_reason",
            "rescheduled_from", "availability_overridden_by", "version",
        ]  # fmt: skip

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        user: Any = getattr(self.context.get("request"), "user", None)
        if getattr(user, "role", None) == Role.PATIENT:
            return {name: field for name, field in fields.items() if name not in NOT_FOR_PATIENTS}
        return fields


class CancelForm(Form):
    reason = serializers.CharField(max_length=300)
    offer_time = serializers.BooleanField(
        default=True, help_text="Offer the time to who waits for one; not where the doctor is ill, say."
    )


class RescheduleForm(Form):
    appointment_datetime = serializers.DateTimeField()
    duration_minutes = serializers.IntegerField(required=False, min_value=SHORTEST, max_value=LONGEST)
    availability_override_reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


class CameForm(Form):
    reason = serializers.CharField(max_length=300, help_text="How it is known; it is written down.")
    is_over = serializers.BooleanField(default=False, help_text="The patient was here and the visit is over.")


class MuteForm(Form):
    reason = serializers.CharField(max_length=150)


class AppointmentReminderSerializer(ClinicSerializer):
    class Meta:
        model = AppointmentReminder
        fields = [
            "id", "appointment", "appointment_version", "visit_starts_at", "reminder_type", "offset_minutes", "wording",
            "status", "status_reason", "scheduled_send_time", "useful_until", "lane", "sent_at", "delivered_at",
            "recipient_email", "recipient_phone", "external_id", "provider", "provider_status", "error_code",
            "segments", "fallback_of", "digest_of", "uncertain_since", "work_state", "attempts", "last_error",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields
