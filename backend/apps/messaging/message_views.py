"""The resources `patient-messages` and `provider-events`: what was written to whom, and what providers say of it."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from backend.apps.core.views import ReadOnlyClinicViewSet
from backend.apps.messaging import permissions
from backend.apps.messaging.message_serializers import PatientMessageSerializer, ProviderEventSerializer
from backend.apps.messaging.models import MessageStatus, PatientMessage, ProviderEvent


class PatientMessageFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=MessageStatus.choices)

    class Meta:
        model = PatientMessage
        fields: ClassVar[dict[str, list[str]]] = {
            "patient": ["exact"],
            "wording": ["exact"],
            "subject_id": ["exact"],
            "scheduled_send_time": ["gte", "lt"],
        }


class PatientMessageViewSet(ReadOnlyClinicViewSet):
    queryset = PatientMessage.objects.all()
    serializer_class = PatientMessageSerializer
    permissions = permissions.PATIENT_MESSAGE
    filterset_class = PatientMessageFilter
    ordering_fields = ("scheduled_send_time", "created_at")
    ordering = ("-scheduled_send_time",)


class ProviderEventViewSet(ReadOnlyClinicViewSet):
    queryset = ProviderEvent.objects.defer("payload")
    serializer_class = ProviderEventSerializer
    permissions = permissions.PROVIDER_EVENT
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "attempt_id": ["exact"],
        "message_id": ["exact"],
        "created_at": ["gte", "lt"],
    }
