"""Break-glass over HTTP: finding and opening a record that is nobody's own, and the resource `emergency-accesses`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import Throttled
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core import idempotency
from backend.apps.core.views import Audited, ClinicViewSet, verb
from backend.apps.patients import emergencies, permissions
from backend.apps.patients.emergency_models import EmergencyAccess
from backend.apps.patients.emergency_serializers import (
    BreakGlassForm,
    EmergencyAccessSerializer,
    FindForm,
    FoundSerializer,
    ReviewForm,
)
from backend.apps.patients.models import Patient
from backend.apps.users import guards

MOST_FINDS, WITHIN = 20, timedelta(minutes=10)  # by login


class BreakGlass(Audited):
    """The two calls of `patients` that look beyond the caller's own patients; each leaves an audit row."""

    @extend_schema(request=FindForm, responses=FoundSerializer(many=True))
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def find(self, request: Request) -> Response:
        """Find a patient by the whole record number and the birthday; tells an id and initials, nothing else."""
        form = FindForm(data=request.data)
        form.is_valid(raise_exception=True)
        if (wait := tries_left(request)) is not None:
            raise Throttled(wait)
        rows = list(emergencies.find(**form.validated_data))
        self.note(rows[0] if rows else None, count=len(rows))
        return Response(FoundSerializer(rows, many=True).data)

    @extend_schema(request=BreakGlassForm, responses={201: EmergencyAccessSerializer})
    @action(detail=True, methods=["post"], url_path="break-glass")
    def break_glass(self, request: Request, pk: str) -> Response:
        """Open the record of a patient who is not one's own for 60 minutes; it is told at once and reviewed."""

        def act() -> Response:
            # nosemgrep: unscoped-rows  # that is what it is for
            patient = get_object_or_404(Patient.objects.all(), pk=pk)
            form = BreakGlassForm(data=request.data)
            form.is_valid(raise_exception=True)
            opened = emergencies.break_glass(patient, by=request.user, **form.validated_data)
            self.note(patient, access=str(opened.pk))
            return shown(opened)

        def again(key: str) -> Response:
            return shown(EmergencyAccess.objects.visible_to(request.user).get(pk=key))

        def shown(opened: EmergencyAccess) -> Response:
            return Response(EmergencyAccessSerializer(opened).data, status=201)

        return idempotency.once(request, act, again)


def tries_left(request: Any) -> int | None:
    """Count one try to find, in the database; return the seconds to wait when there were too many."""
    return guards.attempt(str(request.user.pk), guards.PATIENT, most=MOST_FINDS, within=WITHIN)


class EmergencyAccessFilter(django_filters.FilterSet):
    reviewed = django_filters.BooleanFilter(field_name="reviewed_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = EmergencyAccess
        fields: ClassVar[dict[str, list[str]]] = {
            "user": ["exact"],
            "patient": ["exact"],
            "started_at": ["gte", "lt"],
        }


class EmergencyAccessViewSet(ClinicViewSet):
    """Doctors see and end their own ones; the administrator ends and reviews all. Patients see none of it."""

    queryset = EmergencyAccess.objects.all()
    serializer_class = EmergencyAccessSerializer
    permissions = permissions.EMERGENCY_ACCESS
    filterset_class = EmergencyAccessFilter
    ordering_fields = ("started_at",)
    ordering = ("-started_at",)
    end = verb(emergencies.end)
    review = verb(emergencies.review, takes=ReviewForm)
