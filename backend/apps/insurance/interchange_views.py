"""The resource `interchanges`: files for partners, how far they have come, and what a person decides about them."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.core.work import WorkState
from backend.apps.insurance import interchanges, permissions
from backend.apps.insurance.models import Interchange
from backend.apps.insurance.models.submissions import InterchangeStatus


class InterchangeSerializer(ClinicSerializer):
    """The bytes go over the wire by `download` only."""

    class Meta:
        model = Interchange
        fields = [
            "id", "partner", "kind", "interchange_number", "group_number", "file_name", "sha256", "size_bytes",
            "transactions", "items", "status", "status_reason", "staged_at", "spoken_at", "sent_at", "ta1_at",
            "ta1_code", "ta1_note", "acknowledged_at", "work_state", "attempts", "due_at", "last_error", "created_at",
            "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class InterchangeFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=InterchangeStatus.choices)
    work_state = django_filters.MultipleChoiceFilter(choices=WorkState.choices)

    class Meta:
        model = Interchange
        fields: ClassVar[dict[str, list[str]]] = {
            "partner": ["exact"],
            "kind": ["exact"],
            "created_at": ["gte", "lt"],
        }


class InterchangeViewSet(ClinicViewSet):
    """Machines make and send files; a person decides only about one that nobody knows the end of."""

    queryset = Interchange.objects.defer("content")
    serializer_class = InterchangeSerializer
    permissions = permissions.INTERCHANGE
    filterset_class = InterchangeFilter
    send_again = verb(interchanges.send_again)
    mark_received = verb(interchanges.mark_received)
    mark_not_received = verb(interchanges.mark_not_received)

    @extend_schema(responses={(200, "application/edi-x12"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], filter_backends=[])
    def download(self, request: Request, **_kwargs: Any) -> HttpResponse:
        """Answer the bytes as they were sent."""
        row = self.get_object()
        self.note(row)
        headers = {"Content-Disposition": f'attachment; filename="{row.file_name}"'}
        return HttpResponse(bytes(row.content), content_type="application/edi-x12", headers=headers)
