"""The resources `billing-entities`, `service-facilities` and `referring-providers`."""

from __future__ import annotations

from typing import ClassVar

from backend.apps.core.views import ClinicViewSet
from backend.apps.insurance import permissions
from backend.apps.insurance.billing_serializers import (
    BillingEntitySerializer,
    ReferringProviderSerializer,
    ServiceFacilitySerializer,
)
from backend.apps.insurance.models import BillingEntity, ReferringProvider, ServiceFacility


class BillingEntityViewSet(ClinicViewSet):
    queryset = BillingEntity.objects.all()
    serializer_class = BillingEntitySerializer
    permissions = permissions.BILLING_ENTITY
    filterset_fields: ClassVar[dict[str, list[str]]] = {"npi": ["exact"], "is_default": ["exact"]}
    ordering_fields = ("name", "created_at")
    ordering = ("name",)


class ServiceFacilityViewSet(ClinicViewSet):
    queryset = ServiceFacility.objects.all()
    serializer_class = ServiceFacilitySerializer
    permissions = permissions.SERVICE_FACILITY
    filterset_fields: ClassVar[dict[str, list[str]]] = {"npi": ["exact"], "is_active": ["exact"]}
    ordering_fields = ("name", "created_at")
    ordering = ("name",)


class ReferringProviderViewSet(ClinicViewSet):
    queryset = ReferringProvider.objects.all()
    serializer_class = ReferringProviderSerializer
    permissions = permissions.REFERRING_PROVIDER
    filterset_fields: ClassVar[dict[str, list[str]]] = {"npi": ["exact"], "is_active": ["exact"]}
    search_fields = ("^last_name", "=npi")
    ordering_fields = ("last_name",)
    ordering = ("last_name",)
