"""What registries say of the staff, in the admin; it is settled through the API."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.core.admin import ReadOnlyAdmin
from backend.apps.credentials.models import RegistryCheck
from backend.apps.credentials.registry_permissions import REGISTRY_CHECK


@admin.register(RegistryCheck)
class RegistryCheckAdmin(ReadOnlyAdmin):
    permissions = REGISTRY_CHECK
    list_display = ("checked_at", "staff_member", "source", "edition", "outcome", "settled_as", "note")
    list_filter = ("source", "outcome", "settled_as", "checked_at")
    list_select_related = ("user",)

    @admin.display(description="Staff member", ordering="user__last_name")
    def staff_member(self, check: RegistryCheck) -> str:
        return check.user.full_name
