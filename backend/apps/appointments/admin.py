"""Appointments and their reminders in the admin, for the front desk."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.appointments import permissions, services
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin


@admin.register(Appointment)
class AppointmentAdmin(ClinicAdmin):
    permissions = permissions.APPOINTMENT
    creates = services.book
    updates = services.change
    list_display = ("appointment_datetime", "patient_name", "doctor_name", "appointment_type", "status", "location")
    list_filter = ("status", "appointment_type", "appointment_datetime")
    search_fields = ("patient__medical_record_number", "patient__last_name", "doctor__user__last_name")
    list_select_related = ("patient", "doctor__user")
    autocomplete_fields = ("patient", "doctor")
    readonly_fields = (
        "status", "checked_in_at", "started_at", "checked_out_at", "cancelled_at", "cancellation_reason",
        "rescheduled_from", "availability_overridden_by", "version",
    )  # fmt: skip

    @admin.display(description="patient", ordering="patient__last_name")
    def patient_name(self, row: Appointment) -> str:
        return row.patient.full_name

    @admin.display(description="doctor")
    def doctor_name(self, row: Appointment) -> str:
        return row.doctor.full_name


@admin.register(AppointmentReminder)
class AppointmentReminderAdmin(ReadOnlyAdmin):
    permissions = permissions.REMINDER
    list_display = (
        "scheduled_send_time",
        "reminder_type",
        "status",
        "work_state",
        "attempts",
        "sent_at",
        "external_id",
    )
    list_filter = ("status", "reminder_type", "work_state", "scheduled_send_time")
    search_fields = ("external_id", "appointment__patient__medical_record_number")
    list_select_related = ("appointment",)
    autocomplete_fields = ("appointment",)
