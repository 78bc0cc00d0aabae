"""The resource `reminder-policies`: when patients are reminded, by which channel and in which words."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.appointments import permissions, reminder_policies, reminders
from backend.apps.appointments.models import ReminderPolicy
from backend.apps.appointments.policies_serializers import ReminderPolicySerializer, ReplanForm, TallySerializer
from backend.apps.core.views import ClinicViewSet


class ReminderPolicyFilter(django_filters.FilterSet):
    class Meta:
        model = ReminderPolicy
        fields: ClassVar[dict[str, list[str]]] = {
            "appointment_type": ["exact"],
            "channel": ["exact"],
            "is_active": ["exact"],
        }


class ReminderPolicyViewSet(ClinicViewSet):
    """A change of the table does not touch what is planned: `replan` does, and counts first."""

    queryset = ReminderPolicy.objects.all()
    serializer_class = ReminderPolicySerializer
    permissions = permissions.POLICY
    filterset_class = ReminderPolicyFilter
    ordering_fields = ("created_at", "updated_at")
    ordering = ("created_at",)
    creates = reminder_policies.add
    updates = reminder_policies.change

    @extend_schema(request=ReplanForm, responses=TallySerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def replan(self, request: Request) -> Response:
        """Plan visits that are awaited by the table as it is now, some thousands a call; or count what would change."""
        form = ReplanForm(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        done = reminders.replan_ahead(after=asked.get("after"), dry_run=asked["dry_run"])
        answer = {"dry_run": asked["dry_run"], **done._asdict()}
        self.note(**{name: value for name, value in answer.items() if name != "after"})
        return Response(TallySerializer(answer).data)
