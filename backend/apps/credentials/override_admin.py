"""Exceptions from missing credentials in the admin: made there, ended there, never changed."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin
from backend.apps.core.permissions import may
from backend.apps.credentials import overrides
from backend.apps.credentials.models import CredentialOverride
from backend.apps.credentials.override_permissions import OVERRIDE


@admin.register(CredentialOverride)
class CredentialOverrideAdmin(ClinicAdmin):
    permissions = OVERRIDE
    creates = overrides.grant
    list_display = ("granted_at", "doctor_name", "credential_type", "expires_at", "ended_at", "granted_by", "reason")
    list_filter = ("credential_type", "granted_at")
    list_select_related = ("doctor__user", "granted_by")
    autocomplete_fields = ("doctor",)
    actions = ("end",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return may(request.user, "end", self.permissions)

    @admin.action(description="End the selected exceptions now", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[CredentialOverride]) -> None:
        for override in queryset:
            overrides.end(override, by=request.user)
            self._note(request, "admin.end", str(override.pk), row=override)

    @admin.display(description="Doctor", ordering="doctor__user__last_name")
    def doctor_name(self, override: CredentialOverride) -> str:
        return override.doctor.full_name
