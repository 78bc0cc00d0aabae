"""The resource `patients`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.filters import StrictFilterBackend, StrictOrdering
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.patients import permissions, services
from backend.apps.patients.emergency_views import BreakGlass
from backend.apps.patients.models import Patient
from backend.apps.patients.serializers import ConsentForm, MergeForm, PatientSerializer, SearchForm

MOST_FOUND = 50
TYPED = frozenset({"search", "first_name", "last_name", "medical_record_number", "date_of_birth", "phone", "email"})
BY_POST = 'Names, birthdays and numbers have no place in an address: POST {"text": ...} to patients/search/.'


class NothingTyped(StrictFilterBackend):
    """Refuses, with the way that does it, what would write a patient's data into an address, where proxies keep it."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        typed = sorted(TYPED & set(request.query_params))
        if typed:
            raise ValidationError({name: [BY_POST] for name in typed})
        return super().filter_queryset(request, queryset, view)


class PatientViewSet(BreakGlass, ClinicViewSet):
    queryset = Patient.objects.all()
    serializer_class = PatientSerializer
    permissions = permissions.PATIENT
    filter_backends = (NothingTyped, StrictOrdering)
    ordering_fields = ("created_at", "updated_at")  # not by name: the links to other pages would carry names
    creates = services.register
    updates = services.correct
    merge = verb(services.merge, takes=MergeForm)
    consent = verb(services.consent, takes=ConsentForm)

    @extend_schema(request=SearchForm, responses=PatientSerializer(many=True))
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def search(self, request: Request) -> Response:
        """Find at most 50 patients without writing a name into a URL, where logs and proxies would keep it."""
        form = SearchForm(data=request.data)
        form.is_valid(raise_exception=True)
        found = services.search(self.get_queryset(), form.validated_data["text"], by=request.user)
        rows = list(services.by_name(found)[:MOST_FOUND])
        self.note(count=len(rows), ids=[str(row.pk) for row in rows])
        return Response(self.get_serializer(rows, many=True).data)
