"""The resources `specializations`, `doctors`, `doctor-credentials` and `doctor-availabilities`."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from rest_framework.permissions import SAFE_METHODS

from backend.apps.core.views import ClinicViewSet
from backend.apps.doctors import permissions, serializers, services
from backend.apps.doctors.models import Doctor, DoctorAvailability, DoctorCredential, Specialization
from backend.apps.employees.credential_views import CREDENTIAL_FILTERS, CredentialFilter, CredentialViewSet


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


class DoctorCredentialFilter(CredentialFilter):
    class Meta:
        model = DoctorCredential
        fields: ClassVar[dict[str, list[str]]] = {"doctor": ["exact"], **CREDENTIAL_FILTERS}


class DoctorCredentialViewSet(CredentialViewSet):
    queryset = DoctorCredential.objects.all()
    serializer_class = serializers.DoctorCredentialSerializer
    permissions = permissions.CREDENTIAL
    filterset_class = DoctorCredentialFilter
    creates = services.file_credential


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
