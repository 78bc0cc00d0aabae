"""The filters of the lab inbox, the same in API, console, command and replay; else each would find other messages."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet

from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import InboundMessage, InboundStatus, LabFeed, LabResult

LONGEST = 100  # characters of an error text that is looked for
NOT_FILED = (InboundStatus.WORKLIST, InboundStatus.REJECTED, InboundStatus.RECEIVED)
MOST = 5_000  # messages of one patient


class InboundMessageFilter(django_filters.FilterSet):
    """`feed=none` finds messages that belong to no feed. `code` is that of a result filed from the message."""

    status = django_filters.MultipleChoiceFilter(choices=InboundStatus.choices)
    work_state = django_filters.MultipleChoiceFilter(choices=WorkState.choices)
    feed = django_filters.ModelChoiceFilter(
        queryset=LabFeed.objects.order_by("name"), null_label="no feed", null_value="none"
    )
    patient = django_filters.UUIDFilter(method="about")
    code = django_filters.CharFilter(method="with_code", max_length=200)
    error = django_filters.CharFilter(method="with_error", max_length=LONGEST)

    class Meta:
        model = InboundMessage
        fields: ClassVar[dict[str, list[str]]] = {
            "control_id": ["exact"],
            "conflict": ["exact"],
            "received_at": ["gte", "lt"],
        }

    def about(self, rows: QuerySet[InboundMessage], name: str, patient: Any) -> QuerySet[InboundMessage]:
        """Those filed for the patient, alone or among others, and those a person assigned to them."""
        results = LabResult.all_objects.filter(lab_order__patient=patient, source_message__isnull=False)
        ids = list(results.values_list("source_message", flat=True).order_by().distinct()[:MOST])
        return rows.filter(Q(patient=patient) | Q(assigned_patient=patient) | Q(pk__in=ids))

    def with_code(self, rows: QuerySet[InboundMessage], name: str, code: str) -> QuerySet[InboundMessage]:
        filed = LabResult.all_objects.filter(source_message=OuterRef("pk"))
        return rows.filter(Exists(filed.filter(Q(code_as_sent=code) | Q(panel_code=code))))

    def with_error(self, rows: QuerySet[InboundMessage], name: str, text: str) -> QuerySet[InboundMessage]:
        """Look for the text in why a message was not filed and in what the machine said last."""
        told = Q(status_reason__icontains=text) | Q(last_error__icontains=text)
        return rows.filter(told, status__in=NOT_FILED)
