"""Messages to patients and what providers report of them, in the admin."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.core.admin import ReadOnlyAdmin
from backend.apps.messaging import permissions
from backend.apps.messaging.models import PatientMessage, ProviderEvent


@admin.register(PatientMessage)
class PatientMessageAdmin(ReadOnlyAdmin):
    permissions = permissions.PATIENT_MESSAGE
    list_display = ("scheduled_send_time", "wording", "channel", "status", "work_state", "sent_at", "external_id")
    list_filter = ("status", "wording", "scheduled_send_time")
    search_fields = ("external_id__exact", "patient__medical_record_number__exact")


@admin.register(ProviderEvent)
class ProviderEventAdmin(ReadOnlyAdmin):
    """The list shows no number and no text; the page of one event does, to administrators."""

    permissions = permissions.PROVIDER_EVENT
    list_display = ("created_at", "provider", "kind", "provider_status", "error_code", "outcome", "work_state")
    list_filter = ("provider", "created_at")
    search_fields = ("attempt_id__exact", "message_id__exact")
