"""The resources `inbound-texts` and `staff-tasks`: what waits for a person at the front desk."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from django.db.models import Q, QuerySet

from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.messaging import inbound, permissions, tasks
from backend.apps.messaging.inbox_serializers import (
    CompleteForm,
    HandleForm,
    InboundTextSerializer,
    StaffTaskSerializer,
)
from backend.apps.messaging.models import InboundText, StaffTask

WAITING = Q(outcome=InboundText.Outcome.INBOX, handled_at__isnull=True)


class InboundTextFilter(django_filters.FilterSet):
    waiting = django_filters.BooleanFilter(method="that_wait", label="Neither a machine nor a person has settled it.")

    class Meta:
        model = InboundText
        fields: ClassVar[dict[str, list[str]]] = {
            "intent": ["exact"],
            "outcome": ["exact"],
            "patient": ["exact"],
            "received_at": ["gte", "lt"],
        }

    def that_wait(self, rows: QuerySet[InboundText], name: str, waiting: bool) -> QuerySet[InboundText]:
        return rows.filter(WAITING) if waiting else rows.exclude(WAITING)


class InboundTextViewSet(ClinicViewSet):
    queryset = InboundText.objects.all()
    serializer_class = InboundTextSerializer
    permissions = permissions.INBOUND_TEXT
    filterset_class = InboundTextFilter
    ordering_fields = ("received_at",)
    ordering = ("-received_at",)
    handle = verb(inbound.handle, takes=HandleForm)


class StaffTaskFilter(django_filters.FilterSet):
    done = django_filters.BooleanFilter(field_name="done_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = StaffTask
        fields: ClassVar[dict[str, list[str]]] = {
            "kind": ["exact"],
            "patient": ["exact"],
            "subject_id": ["exact"],
            "created_at": ["gte", "lt"],
        }


class StaffTaskViewSet(ClinicViewSet):
    queryset = StaffTask.objects.all()
    serializer_class = StaffTaskSerializer
    permissions = permissions.STAFF_TASK
    filterset_class = StaffTaskFilter
    complete = verb(tasks.complete, takes=CompleteForm)
