"""Patients' texts and the desk's tasks in the admin; they are handled through console and API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from backend.apps.core.admin import ReadOnlyAdmin
from backend.apps.messaging import permissions
from backend.apps.messaging.models import InboundText, StaffTask


@admin.register(InboundText)
class InboundTextAdmin(ReadOnlyAdmin):
    permissions = permissions.INBOUND_TEXT
    list_display = ("received_at", "from_number", "intent", "outcome", "handled_at", "handled_by")
    list_filter = ("outcome", "intent", "received_at")
    search_fields = ("sid__exact",)
    search_help_text = "The provider's id of a text, or the number it came from"
    list_select_related = ("handled_by",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        return queryset.filter(Q(sid=text) | InboundText.sent_from(text)) if text else queryset, False


@admin.register(StaffTask)
class StaffTaskAdmin(ReadOnlyAdmin):
    permissions = permissions.STAFF_TASK
    list_display = ("created_at", "kind", "sentence", "done_at", "done_by")
    list_filter = ("kind", "done_at", "created_at")
    search_fields = ("subject_id__exact",)
    list_select_related = ("done_by",)
