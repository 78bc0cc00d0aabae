"""The resources `medications`, `prescriptions` and `prescription-refills`."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.prescriptions import ndc, permissions, services
from backend.apps.prescriptions.models import (
    Medication,
    Prescription,
    PrescriptionRefill,
    PrescriptionStatus,
    RefillStatus,
)
from backend.apps.prescriptions.serializers import (
    FilledForm,
    MedicationSerializer,
    PrescriptionRefillSerializer,
    PrescriptionSerializer,
    ReasonForm,
)


class MedicationFilter(django_filters.FilterSet):
    ndc_code = django_filters.CharFilter(method="by_ndc", label="The NDC in any of its written shapes.")

    class Meta:
        model = Medication
        fields: ClassVar[dict[str, list[str]]] = {
            "drug_class": ["exact"],
            "controlled_substance_schedule": ["exact"],
            "is_active": ["exact"],
            "is_formulary": ["exact"],
        }

    def by_ndc(self, rows: QuerySet[Medication], name: str, code: str) -> QuerySet[Medication]:
        try:
            return rows.filter(ndc_code=ndc.normalized(code))
        except ValidationError:
            return rows.none()


class MedicationViewSet(ClinicViewSet):
    queryset = Medication.objects.all()
    serializer_class = MedicationSerializer
    permissions = permissions.MEDICATION
    filterset_class = MedicationFilter
    search_fields = ("^generic_name", "^brand_name")
    ordering_fields = ("generic_name", "created_at")
    ordering = ("generic_name",)


class PrescriptionFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=PrescriptionStatus.choices)

    class Meta:
        model = Prescription
        fields: ClassVar[dict[str, list[str]]] = {
            "patient": ["exact"],
            "doctor": ["exact"],
            "medication": ["exact"],
            "prescription_number": ["exact"],
            "prescribed_date": ["gte", "lt"],
            "expiration_date": ["gte", "lt"],
            "updated_at": ["gte", "lt"],
        }


class PrescriptionViewSet(ClinicViewSet):
    queryset = Prescription.objects.select_related("patient", "doctor__user", "medication")
    serializer_class = PrescriptionSerializer
    permissions = permissions.PRESCRIPTION
    filterset_class = PrescriptionFilter
    ordering_fields = ("prescribed_date", "created_at", "updated_at")
    ordering = ("-prescribed_date",)
    creates = services.prescribe
    updates = services.revise
    fill = verb(services.fill)
    cancel = verb(services.cancel, takes=ReasonForm)
    hold = verb(services.hold)
    resume = verb(services.resume)


class PrescriptionRefillFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=RefillStatus.choices)

    class Meta:
        model = PrescriptionRefill
        fields: ClassVar[dict[str, list[str]]] = {
            "prescription": ["exact"],
            "prescription__patient": ["exact"],
            "requested_date": ["gte", "lt"],
        }


class PrescriptionRefillViewSet(ClinicViewSet):
    queryset = PrescriptionRefill.objects.select_related("prescription")
    serializer_class = PrescriptionRefillSerializer
    permissions = permissions.PRESCRIPTION_REFILL
    filterset_class = PrescriptionRefillFilter
    ordering_fields = ("requested_date", "created_at")
    ordering = ("-requested_date",)
    creates = services.request_refill
    approve = verb(services.approve)
    deny = verb(services.deny, takes=ReasonForm)
    mark_as_filled = verb(services.mark_as_filled, takes=FilledForm)
    withdraw = verb(services.withdraw)
