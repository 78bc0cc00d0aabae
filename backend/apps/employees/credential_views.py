"""The resource `employee-credentials`, and what `doctor-credentials` shares with it; else reviews would differ."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request

from backend.apps.core import documents, sealed
from backend.apps.core.models import Clinic
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.employees import filing, permissions
from backend.apps.employees.credential_serializers import (
    EmployeeCredentialSerializer,
    RejectForm,
    RenewForm,
    VerifyForm,
)
from backend.apps.employees.models import EmployeeCredential
from backend.apps.employees.models.credentials import CredentialQuerySet

CREDENTIAL_FILTERS = {
    "credential_type": ["exact"],
    "state": ["exact"],
    "is_verified": ["exact"],
    "expiry_date": ["exact", "gte", "lte"],
}


class CredentialFilter(django_filters.FilterSet):
    """Subclasses name the model and the fields, CREDENTIAL_FILTERS and whose it is."""

    number = django_filters.CharFilter(method="by_number", help_text="The whole number, as it was written.")
    expired = django_filters.BooleanFilter(method="by_expired")
    expiring_soon = django_filters.BooleanFilter(method="by_expiring_soon")
    awaiting_review = django_filters.BooleanFilter(method="by_awaiting_review")
    rejected = django_filters.BooleanFilter(field_name="rejected_at", lookup_expr="isnull", exclude=True)
    replaced = django_filters.BooleanFilter(field_name="replaced_by", lookup_expr="isnull", exclude=True)

    def by_number(self, rows: CredentialQuerySet, name: str, value: str) -> QuerySet[Any]:
        return rows.filter(sealed.same(rows.model, "number_index", value))

    def by_expired(self, rows: CredentialQuerySet, name: str, value: bool) -> QuerySet[Any]:
        return self._only(rows, rows.expired(Clinic.today()), value)

    def by_expiring_soon(self, rows: CredentialQuerySet, name: str, value: bool) -> QuerySet[Any]:
        return self._only(rows, rows.expiring_soon(Clinic.today()), value)

    def by_awaiting_review(self, rows: CredentialQuerySet, name: str, value: bool) -> QuerySet[Any]:
        return self._only(rows, rows.awaiting_review(Clinic.today()), value)

    def _only(self, rows: QuerySet[Any], found: QuerySet[Any], value: bool) -> QuerySet[Any]:
        return found if value else rows.exclude(pk__in=found.values("pk"))


class CredentialViewSet(ClinicViewSet):
    """Whoever holds a credential files and renews it; a reviewer verifies or rejects it."""

    search_fields = ("^issuing_organization",)
    ordering_fields = ("created_at", "expiry_date", "issue_date")
    updates = filing.amend
    renew = verb(filing.renew, takes=RenewForm)
    verify = verb(filing.verify, takes=VerifyForm)
    reject = verb(filing.reject, takes=RejectForm)

    def _locked(self) -> Any:
        """Lock the holder before the paper, as everybody does who files or reviews."""
        self.get_object().lock_papers()
        return super()._locked()

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"])
    def download(self, request: Request, pk: str | None = None) -> FileResponse:
        """Return the document itself, always as a download and never as a page; of health only to the holder or HR."""
        credential = self.get_object()
        if not credential.opens_document_to(request.user):
            raise PermissionDenied
        answer = documents.download(credential.document, f"credential-{credential.pk}")
        self.note(credential)
        return answer


class EmployeeCredentialFilter(CredentialFilter):
    class Meta:
        model = EmployeeCredential
        fields: ClassVar[dict[str, list[str]]] = {
            "employee": ["exact"], "employee__department": ["exact"], **CREDENTIAL_FILTERS,
        }  # fmt: skip


class EmployeeCredentialViewSet(CredentialViewSet):
    queryset = EmployeeCredential.objects.all()
    serializer_class = EmployeeCredentialSerializer
    permissions = permissions.CREDENTIAL
    filterset_class = EmployeeCredentialFilter
    creates = filing.file_of_employee
