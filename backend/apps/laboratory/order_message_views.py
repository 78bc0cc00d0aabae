"""The resource `lab-order-messages`: what went out about orders, and what a person does when an answer is lost."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.laboratory import permissions, services
from backend.apps.laboratory.models import LabOrderMessage, OrderMessageStatus


class LabOrderMessageSerializer(ClinicSerializer):
    """The bytes of a message never go over the wire: they hold a patient's data in a form nobody reads."""

    order_number = serializers.CharField(source="lab_order.order_number", read_only=True)

    class Meta:
        model = LabOrderMessage
        fields = [
            "id", "lab_order", "order_number", "feed", "revision", "control", "control_id", "status", "status_reason",
            "sent_at", "ack_code", "answered_at", "answer", "settled_by", "settled_at", "work_state", "attempts",
            "due_at", "last_error", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class LabOrderMessageFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=OrderMessageStatus.choices)

    class Meta:
        model = LabOrderMessage
        fields: ClassVar[dict[str, list[str]]] = {
            "lab_order": ["exact"],
            "feed": ["exact"],
            "control_id": ["exact"],
            "work_state": ["exact"],
            "created_at": ["gte", "lt"],
        }


class LabOrderMessageViewSet(ClinicViewSet):
    """Read-only but for what a person decides about a message that is lost, refused or could not be sent."""

    queryset = LabOrderMessage.objects.select_related("lab_order").defer("raw", "ack")
    serializer_class = LabOrderMessageSerializer
    permissions = permissions.LAB_ORDER_MESSAGE
    filterset_class = LabOrderMessageFilter
    resend = verb(services.resend)
    mark_as_arrived = verb(services.mark_as_arrived)
