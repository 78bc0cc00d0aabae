"""The resources `critical-results`, `critical-pages` and `critical-policies`."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet, verb
from backend.apps.laboratory import critical, permissions
from backend.apps.laboratory.critical_serializers import (
    AcknowledgeForm,
    CriticalPageSerializer,
    CriticalPolicySerializer,
    CriticalResultSerializer,
    NoteCallForm,
)
from backend.apps.laboratory.models import CriticalPage, CriticalPolicy, CriticalResult
from backend.apps.laboratory.models.critical import CriticalStatus


class CriticalResultFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=CriticalStatus.choices)

    class Meta:
        model = CriticalResult
        fields: ClassVar[dict[str, list[str]]] = {
            "doctor": ["exact"],
            "patient": ["exact"],
            "created_at": ["gte", "lt"],
        }


class CriticalResultViewSet(ClinicViewSet):
    """A doctor sees own ones and those of doctors they cover."""

    queryset = CriticalResult.objects.select_related(
        "patient", "doctor__user", "result__lab_order", "result__lab_test"
    ).prefetch_related("steps")
    serializer_class = CriticalResultSerializer
    permissions = permissions.CRITICAL_RESULT
    filterset_class = CriticalResultFilter
    acknowledge = verb(critical.acknowledge, takes=AcknowledgeForm)
    note_call = verb(critical.note_call, takes=NoteCallForm)


class CriticalPageViewSet(ReadOnlyClinicViewSet):
    queryset = CriticalPage.objects.all()
    serializer_class = CriticalPageSerializer
    permissions = permissions.CRITICAL_PAGE
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "critical_result": ["exact"],
        "recipient": ["exact"],
        "work_state": ["exact"],
        "created_at": ["gte", "lt"],
    }


class CriticalPolicyViewSet(ClinicViewSet):
    queryset = CriticalPolicy.objects.all()
    serializer_class = CriticalPolicySerializer
    permissions = permissions.CRITICAL_POLICY
