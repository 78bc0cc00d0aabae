"""Credentials in the admin, a doctor's and an employee's alike; else a reviewer would need the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from backend.apps.core import field_rules, sealed
from backend.apps.core.admin import ClinicAdmin
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.employees import filing, permissions
from backend.apps.employees.models import EmployeeCredential, VerificationMethod
from backend.apps.employees.models.credentials import Credential


class ReasonForm(ActionForm):
    reason = forms.CharField(
        label="",
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget({"aria-label": "Reason of a rejection", "placeholder": "Reason to reject"}),
    )


class CredentialAdmin(ClinicAdmin):
    """Subclasses say whose it is. Reviewers act from the list: several at once, each by its own rules."""

    updates = filing.amend
    action_form = ReasonForm
    actions = ("verify_by_document", "verify_by_issuer", "reject")
    list_filter = ("credential_type", "is_verified", "expiry_date")
    readonly_fields = (
        "is_verified", "verified_at", "verification_method", "rejected_at", "rejection_reason", "replaced_by",
    )  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        """Find by a whole number too, where the person sees numbers."""
        found, repeats = super().get_search_results(request, queryset, search_term)
        if search_term and not field_rules.is_oracle(self.model, "number", request.user):
            found |= queryset.filter(sealed.same(self.model, "number_index", search_term.strip()))
        return found, repeats

    def has_review_permission(self, request: HttpRequest) -> bool:
        return may(request.user, "verify", self.permissions)

    @admin.action(description="Verify: the document was seen", permissions=["review"])
    def verify_by_document(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, partial(filing.verify, method=VerificationMethod.DOCUMENT), "verify")

    @admin.action(description="Verify: whoever issued it was asked", permissions=["review"])
    def verify_by_issuer(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, partial(filing.verify, method=VerificationMethod.ISSUER), "verify")

    @admin.action(description="Reject, with a reason", permissions=["review"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        reason = request.POST.get("reason", "")[:300]
        self._each(request, queryset, partial(filing.reject, reason=reason), "reject")

    def _each(self, request: HttpRequest, rows: QuerySet[Any], act: Callable[..., Credential], verb: str) -> None:
        for row in rows:
            try:
                act(row, by=request.user)
            except DomainError as refusal:
                messages.error(request, str(refusal))
            else:
                self._note(request, f"admin.{verb}", str(row.pk), row=row)


@admin.register(EmployeeCredential)
class EmployeeCredentialAdmin(CredentialAdmin):
    permissions = permissions.CREDENTIAL
    creates = filing.file_of_employee
    list_display = ("credential_type", "employee_name", "state", "expiry_date", "is_verified", "rejected_at")
    search_fields = ("issuing_organization", "employee__user__last_name")
    list_select_related = ("employee__user",)
    autocomplete_fields = ("employee",)

    @admin.display(description="Employee", ordering="employee__user__last_name")
    def employee_name(self, credential: EmployeeCredential) -> str:
        return credential.employee.full_name
