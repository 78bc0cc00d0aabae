"""The resources `time-off-policies` and `pto-entries`."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet
from backend.apps.employees import permissions
from backend.apps.employees.balance_serializers import PtoEntrySerializer, TimeOffPolicySerializer
from backend.apps.employees.models import PtoEntry, TimeOffPolicy
from backend.apps.employees.models.balances import PtoKind


class TimeOffPolicyViewSet(ClinicViewSet):
    queryset = TimeOffPolicy.objects.all()
    serializer_class = TimeOffPolicySerializer
    permissions = permissions.TIME_OFF_POLICY
    filterset_fields: ClassVar[dict[str, list[str]]] = {"employment_type": ["exact"], "is_active": ["exact"]}
    ordering_fields = ("employment_type", "created_at")
    ordering = ("employment_type",)


class PtoEntryFilter(django_filters.FilterSet):
    kind = django_filters.MultipleChoiceFilter(choices=PtoKind.choices)

    class Meta:
        model = PtoEntry
        fields: ClassVar[dict[str, list[str]]] = {"employee": ["exact"], "effective_on": ["gte", "lt"]}


class PtoEntryViewSet(ReadOnlyClinicViewSet):
    queryset = PtoEntry.objects.all()
    serializer_class = PtoEntrySerializer
    permissions = permissions.PTO_ENTRY
    filterset_class = PtoEntryFilter
    ordering_fields = ("effective_on", "created_at")
    ordering = ("-effective_on",)
