"""Policies and entries of paid days in the admin; who is asked why a balance is what it is finds the answer here."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.employees import permissions
from backend.apps.employees.models import PtoEntry, TimeOffPolicy


@admin.register(TimeOffPolicy)
class TimeOffPolicyAdmin(ClinicAdmin):
    permissions = permissions.TIME_OFF_POLICY
    list_display = ("employment_type", "days_a_month", "most_days", "carry_over_days", "begins_on", "is_active")
    list_filter = ("is_active",)
    search_fields = ("employment_type",)


@admin.register(PtoEntry)
class PtoEntryAdmin(ReadOnlyAdmin):
    """Entries are written with what moves the balance; a correction is a verb of the API."""

    permissions = permissions.PTO_ENTRY
    list_display = ("employee", "kind", "period", "effective_on", "days", "note")
    list_filter = ("kind", "effective_on")
    search_fields = ("employee__employee_id",)
    list_select_related = ("employee",)
