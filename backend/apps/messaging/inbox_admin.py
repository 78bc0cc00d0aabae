"""Patients' texts and the desk's tasks in the admin; they are handled through console and API."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.core.admin import ReadOnlyAdmin
from backend.apps.messaging import permissions
from backend.apps.messaging.models import InboundText, StaffTask


@admin.register(InboundText)
class InboundTextAdmin(ReadOnlyAdmin):
    permissions = permissions.INBOUND_TEXT
    list_display = ("received_at", "from_number", "intent", "outcome", "handled_at", "handled_by")
    list_filter = ("outcome", "intent", "received_at")
    search_fields = ("sid__exact", "from_number__exact")
    list_select_related = ("handled_by",)


@admin.register(StaffTask)
class StaffTaskAdmin(ReadOnlyAdmin):
    permissions = permissions.STAFF_TASK
    list_display = ("created_at", "kind", "sentence", "done_at", "done_by")
    list_filter = ("kind", "done_at", "created_at")
    search_fields = ("subject_id__exact",)
    list_select_related = ("done_by",)
