"""The admin pages of exports, whom they are about and went to, of systems that may ask for them, and of the books."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.core.models import ReconcileRun
from backend.apps.core.permissions import Table, may
from backend.apps.interop import groups, permissions
from backend.apps.interop.fhir.smart import clients
from backend.apps.interop.models import Disclosure, ExportJob, PatientGroup, SmartClient
from backend.apps.interop.retention_admin import RetentionRuleAdmin, RetentionRunAdmin
from backend.apps.users.authentication import caller

__all__ = ["RetentionRuleAdmin", "RetentionRunAdmin"]  # registered there, found here


class SmartClientForm(forms.ModelForm):
    """Says beside the field why a name, a key or a scope cannot be registered."""

    def clean_name(self) -> str:
        if sentence := clients.name_fault(self.instance, self.cleaned_data["name"]):
            raise forms.ValidationError(sentence)
        return str(self.cleaned_data["name"])

    def clean_scopes(self) -> str:
        if sentence := clients.scope_fault(self.cleaned_data["scopes"]):
            raise forms.ValidationError(sentence)
        return str(self.cleaned_data["scopes"])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not {"jwks", "jwks_url"} & set(self.errors):
            sentence = clients.key_fault(given.get("jwks"), given.get("jwks_url", ""))
            if sentence:
                self.add_error("jwks_url" if given.get("jwks_url") else "jwks", sentence)
        return given


@admin.register(SmartClient)
class SmartClientAdmin(ClinicAdmin):
    permissions: ClassVar[Table] = permissions.SMART_CLIENT
    creates = clients.register
    updates = clients.change
    form = SmartClientForm
    list_display = ("name", "client_id", "scopes", "is_active", "last_token_at")
    list_filter = ("is_active",)
    search_fields = ("name", "id__exact")
    fields = (
        "client_id", "name", "contact", "purpose", "jwks", "jwks_url", "scopes", "is_active", "last_token_at",
        "tokens_after",
    )  # fmt: skip
    readonly_fields = ("client_id", "last_token_at", "tokens_after")
    actions = ("revoke_tokens",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        secure = {"assume_scheme": "https"} if db_field.name == "jwks_url" else {}
        return super().formfield_for_dbfield(db_field, request, **secure, **kwargs)

    @admin.display(description="client_id")
    def client_id(self, row: SmartClient) -> str:
        return "-" if row._state.adding else str(row.pk)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return may(request.user, "revoke_tokens", self.permissions)

    @admin.action(description="Revoke the tokens of the selected systems now", permissions=["revoke"])
    def revoke_tokens(self, request: HttpRequest, queryset: QuerySet[SmartClient]) -> None:
        for row in queryset:
            clients.revoke_tokens(row, by=caller(request))
            self._note(request, "admin.revoke_tokens", str(row.pk), row=row)
        messages.success(request, "Their tokens are no longer good; they may ask for new ones.")


class PatientGroupForm(forms.ModelForm):
    """Takes record numbers in and out, for a group may have more patients than a page can list."""

    add = forms.CharField(
        required=False, widget=forms.Textarea, label="Put in", help_text="Record numbers, one on each line."
    )
    take_out = forms.CharField(
        required=False, widget=forms.Textarea, label="Take out", help_text="Record numbers, one on each line."
    )

    def clean_add(self) -> list[str]:
        return str(self.cleaned_data["add"]).split()

    def clean_take_out(self) -> list[str]:
        return str(self.cleaned_data["take_out"]).split()


@admin.register(PatientGroup)
class PatientGroupAdmin(ClinicAdmin):
    permissions: ClassVar[Table] = permissions.PATIENT_GROUP
    creates = groups.found
    updates = groups.change
    form = PatientGroupForm
    list_display = ("name", "id", "is_active", "updated_at")
    list_filter = ("is_active",)
    search_fields = ("name", "id__exact")
    fields = ("name", "description", "is_active", "members", "add", "take_out")
    readonly_fields = ("members",)

    @admin.display(description="patients in it")
    def members(self, row: PatientGroup) -> str:
        return "none yet" if row._state.adding else f"{row.members.count():,}"


@admin.register(ExportJob)
class ExportJobAdmin(ReadOnlyAdmin):
    """Exports are begun and given up through FHIR and on their own page."""

    permissions: ClassVar[Table] = permissions.EXPORT
    list_display = ("created_at", "level", "status", "client", "requested_by", "rows_done", "rows_total", "expires_at")
    list_filter = ("status", "level")
    search_fields = ("id__exact",)
    list_select_related = ("client", "requested_by")


@admin.register(Disclosure)
class DisclosureAdmin(ReadOnlyAdmin):
    """The accounting of disclosures: a record number finds every export that held something of the patient."""

    permissions: ClassVar[Table] = permissions.DISCLOSURE
    list_display = ("disclosed_at", "recipient", "purpose", "patients_count", "changed_since")
    list_filter = ("disclosed_at",)
    search_fields = ("id__exact", "patients__patient__medical_record_number__exact")
    search_help_text = "A patient's record number"


@admin.register(ReconcileRun)
class ReconcileRunAdmin(ReadOnlyAdmin):
    """The books are closed by the beat and on their own page."""

    permissions: ClassVar[Table] = permissions.RECONCILE
    list_display = ("created_at", "part", "since", "until", "agree", "work_state", "requested_by", "ended_at")
    list_filter = ("part", "agree", "work_state")
    search_fields = ("id__exact",)
    list_select_related = ("requested_by",)
