"""The resource `registry-checks`."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.credentials import registries
from backend.apps.credentials.models import RegistryCheck
from backend.apps.credentials.registry_permissions import REGISTRY_CHECK
from backend.apps.credentials.registry_serializers import RegistryCheckSerializer, SettleForm


class RegistryCheckFilter(django_filters.FilterSet):
    settled = django_filters.BooleanFilter(field_name="settled_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = RegistryCheck
        fields: ClassVar[dict[str, list[str]]] = {
            "user": ["exact"],
            "source": ["exact"],
            "outcome": ["exact"],
            "checked_at": ["gte", "lt"],
        }


class RegistryCheckViewSet(ClinicViewSet):
    """Machines look people up; a person settles what is unclear."""

    queryset = RegistryCheck.objects.all()
    serializer_class = RegistryCheckSerializer
    permissions = REGISTRY_CHECK
    filterset_class = RegistryCheckFilter
    ordering_fields = ("checked_at",)
    ordering = ("-checked_at",)
    settle = verb(registries.settle, takes=SettleForm)
