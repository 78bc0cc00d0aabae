"""The rules of writing to patients in the admin, by the same rules as the API."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.core.admin import ClinicAdmin
from backend.apps.messaging import contact_rules, permissions
from backend.apps.messaging.models import ContactRules


@admin.register(ContactRules)
class ContactRulesAdmin(ClinicAdmin):
    permissions = permissions.CONTACT_RULES
    creates = contact_rules.write
    updates = contact_rules.change
    list_display = ("display_name", "opens_at", "closes_at", "texts_a_day", "texts_a_week", "least_gap_hours")
