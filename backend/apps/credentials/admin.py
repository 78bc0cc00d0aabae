"""The watch over credentials in the admin: rules are changed there, what was told is looked at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from backend.apps.core import dispatch
from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.credentials import permissions, policies
from backend.apps.credentials.models import CredentialAlert, CredentialNotice, CredentialPolicy, CredentialRules
from backend.apps.credentials.override_admin import CredentialOverrideAdmin
from backend.apps.credentials.registry_admin import RegistryCheckAdmin

__all__ = ["CredentialOverrideAdmin", "RegistryCheckAdmin"]  # registered there, found here


@admin.register(CredentialPolicy)
class CredentialPolicyAdmin(ClinicAdmin):
    permissions = permissions.POLICY
    creates = policies.set_policy
    updates = policies.change
    list_display = ("credential_type", "tiers", "weekly_after", "manager_from", "compliance_from", "needed_for")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        dispatch.ring(policies.SWEEP)


@admin.register(CredentialRules)
class CredentialRulesAdmin(ClinicAdmin):
    permissions = permissions.RULES
    creates = policies.write_rules
    updates = policies.change_rules
    list_display = ("compliance_officer", "sends_digest", "updated_at")
    list_select_related = ("compliance_officer",)
    autocomplete_fields = ("compliance_officer",)


@admin.register(CredentialAlert)
class CredentialAlertAdmin(ReadOnlyAdmin):
    permissions = permissions.ALERT
    list_display = ("opened_at", "credential_type", "tier", "expiry_date", "closed_at", "closed_because")
    list_filter = ("credential_type", "closed_because", "opened_at")
    list_select_related = ()


@admin.register(CredentialNotice)
class CredentialNoticeAdmin(ReadOnlyAdmin):
    permissions = permissions.NOTICE
    list_display = ("created_at", "audience", "recipient", "day", "status", "work_state", "last_error")
    list_filter = ("status", "audience", "created_at")
    list_select_related = ("recipient",)
