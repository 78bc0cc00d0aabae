"""The resources `recall-rules` and `recalls`."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from backend.apps.appointments import permissions, recalls
from backend.apps.appointments.models import Recall, RecallRule, RecallStatus
from backend.apps.appointments.recall_serializers import RecallRuleSerializer, RecallSerializer
from backend.apps.core.views import ClinicViewSet, verb


class RecallRuleViewSet(ClinicViewSet):
    queryset = RecallRule.objects.all()
    serializer_class = RecallRuleSerializer
    permissions = permissions.RECALL_RULE
    filterset_fields: ClassVar[dict[str, list[str]]] = {"appointment_type": ["exact"], "is_active": ["exact"]}


class RecallFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=RecallStatus.choices)

    class Meta:
        model = Recall
        fields: ClassVar[dict[str, list[str]]] = {
            "patient": ["exact"],
            "rule": ["exact"],
            "appointment_type": ["exact"],
            "due_on": ["gte", "lt"],
        }


class RecallViewSet(ClinicViewSet):
    """Who is due for a visit again, the longest overdue first."""

    queryset = Recall.objects.select_related("patient")
    serializer_class = RecallSerializer
    permissions = permissions.RECALL
    filterset_class = RecallFilter
    ordering_fields = ("due_on", "created_at")
    ordering = ("due_on",)
    creates = recalls.enter
    dismiss = verb(recalls.dismiss)
