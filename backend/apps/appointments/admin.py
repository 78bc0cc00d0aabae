"""Appointments and their reminders in the admin, for the front desk."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.appointments import permissions, recalls, reminder_policies, services, waitlist
from backend.apps.appointments.models import (
    Appointment,
    AppointmentReminder,
    FreedSlot,
    Recall,
    RecallRule,
    ReminderPolicy,
    WaitlistEntry,
    WaitlistOffer,
)
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


@admin.register(WaitlistEntry)
class WaitlistEntryAdmin(ClinicAdmin):
    permissions = permissions.WAITLIST_ENTRY
    creates = waitlist.join
    list_display = ("created_at", "appointment_type", "from_on", "until_on", "status")
    list_filter = ("status", "appointment_type")
    search_fields = ("patient__medical_record_number",)
    list_select_related = ("patient",)
    autocomplete_fields = ("patient", "doctor")
    readonly_fields = ("status",)


@admin.register(FreedSlot)
class FreedSlotAdmin(ReadOnlyAdmin):
    permissions = permissions.FREED_SLOT
    list_display = ("starts_at", "duration_minutes", "appointment_type", "status", "work_state", "due_at")
    list_filter = ("status", "appointment_type")
    search_fields = ("freed_by__id__exact",)


@admin.register(WaitlistOffer)
class WaitlistOfferAdmin(ReadOnlyAdmin):
    permissions = permissions.WAITLIST_OFFER
    list_display = ("created_at", "status", "held_until", "sent_at")
    list_filter = ("status",)
    search_fields = ("entry__patient__medical_record_number",)


@admin.register(RecallRule)
class RecallRuleAdmin(ClinicAdmin):
    permissions = permissions.RECALL_RULE
    list_display = ("name", "appointment_type", "after_days", "is_active")
    list_filter = ("is_active", "appointment_type")
    search_fields = ("name",)


@admin.register(Recall)
class RecallAdmin(ClinicAdmin):
    permissions = permissions.RECALL
    creates = recalls.enter
    list_display = ("due_on", "appointment_type", "status", "reminded_times", "handed_over_at")
    list_filter = ("status", "appointment_type")
    search_fields = ("patient__medical_record_number",)
    list_select_related = ("patient",)
    autocomplete_fields = ("patient",)
    readonly_fields = ("rule", "status", "reminded_times", "reminded_at", "handed_over_at", "appointment")


@admin.register(ReminderPolicy)
class ReminderPolicyAdmin(ClinicAdmin):
    """What is planned already stays as it is; `reminder-policies/replan/` has it planned anew."""

    permissions = permissions.POLICY
    creates = reminder_policies.add
    updates = reminder_policies.change
    list_display = (
        "appointment_type", "offset_days", "offset_hours", "channel", "order", "wording", "condition", "is_active",
    )  # fmt: skip
    list_filter = ("appointment_type", "channel", "is_active")
