"""The resources `specializations`, `doctors`, `doctor-credentials` and `doctor-availabilities`."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from backend.apps.core import documents
from backend.apps.core.models import Clinic
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.doctors import permissions, serializers, services
from backend.apps.doctors.models import Doctor, DoctorAvailability, DoctorCredential, Specialization
from backend.apps.employees.models.credentials import CredentialQuerySet


class SpecializationViewSet(ClinicViewSet):
    queryset = Specialization.objects.all()
    serializer_class = serializers.SpecializationSerializer
    permissions = permissions.SPECIALIZATION
    filterset_fields: ClassVar[dict[str, list[str]]] = {"medical_code": ["exact"]}
    search_fields = ("^name", "^medical_code")
    ordering_fields = ("name", "created_at")
    ordering = ("name",)


class DoctorFilter(django_filters.FilterSet):
    specialization = django_filters.UUIDFilter(field_name="specialization_links__specialization_id")

    class Meta:
        model = Doctor
        fields: ClassVar[dict[str, list[str]]] = {
            "npi_number": ["exact"],
            "board_certified": ["exact"],
            "is_accepting_patients": ["exact"],
        }


class DoctorViewSet(ClinicViewSet):
    queryset = Doctor.objects.select_related("user").prefetch_related("specialization_links")
    serializer_class = serializers.DoctorSerializer
    permissions = permissions.DOCTOR
    filterset_class = DoctorFilter
    search_fields = ("^user__last_name", "^user__first_name")
    ordering_fields = ("created_at", "years_of_experience")
    creates = services.enrol
    updates = services.revise


class CredentialFilter(django_filters.FilterSet):
    expired = django_filters.BooleanFilter(method="by_expired")
    expiring_soon = django_filters.BooleanFilter(method="by_expiring_soon")

    class Meta:
        model = DoctorCredential
        fields: ClassVar[dict[str, list[str]]] = {
            "doctor": ["exact"],
            "credential_type": ["exact"],
            "is_verified": ["exact"],
            "expiry_date": ["exact", "gte", "lte"],
        }

    def by_expired(self, rows: CredentialQuerySet, name: str, value: bool) -> QuerySet[Any]:
        return self._only(rows, rows.expired(Clinic.today()), value)

    def by_expiring_soon(self, rows: CredentialQuerySet, name: str, value: bool) -> QuerySet[Any]:
        return self._only(rows, rows.expiring_soon(Clinic.today()), value)

    def _only(self, rows: QuerySet[Any], found: QuerySet[Any], value: bool) -> QuerySet[Any]:
        return found if value else rows.exclude(pk__in=found.values("pk"))


class DoctorCredentialViewSet(ClinicViewSet):
    queryset = DoctorCredential.objects.all()
    serializer_class = serializers.DoctorCredentialSerializer
    permissions = permissions.CREDENTIAL
    filterset_class = CredentialFilter
    search_fields = ("^number", "^issuing_organization")
    ordering_fields = ("created_at", "expiry_date", "issue_date")
    creates = services.file_credential
    updates = services.amend_credential
    verify = verb(services.verify)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"])
    def download(self, request: Request, pk: str | None = None) -> FileResponse:
        """Return the document itself, always as a download and never as a page."""
        credential = self.get_object()
        answer = documents.download(credential.document, f"credential-{credential.pk}")
        self.note(credential)
        return answer


class DoctorAvailabilityViewSet(ClinicViewSet):
    queryset = DoctorAvailability.objects.all()
    serializer_class = serializers.DoctorAvailabilitySerializer
    permissions = permissions.AVAILABILITY
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "doctor": ["exact"],
        "day_of_week": ["exact"],
        "is_active": ["exact"],
    }
    ordering_fields = ("created_at", "day_of_week", "start_time")
    creates = services.open_hours
    updates = services.change_hours

    def get_queryset(self) -> QuerySet[Any]:
        """Everybody sees all hours; a doctor changes only the own ones."""
        rows = super().get_queryset()
        return rows if self.request.method in SAFE_METHODS else services.changeable(rows, self.request.user)
