"""The admin pages of exports and of the systems that may ask for them."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin
from backend.apps.core.permissions import Table, may
from backend.apps.interop import permissions
from backend.apps.interop.fhir.smart import clients
from backend.apps.interop.models import SmartClient
from backend.apps.users.authentication import caller


class SmartClientForm(forms.ModelForm):
    """Says beside the field why a key or a scope cannot be registered."""

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
