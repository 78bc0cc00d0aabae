"""The resource `inbound-files`: what partners left for us, as it came, and what became of it."""

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
from backend.apps.insurance import inbound_files, permissions
from backend.apps.insurance.models import InboundFile
from backend.apps.insurance.models.answers import InboundFileStatus


class InboundFileSerializer(ClinicSerializer):
    """The bytes go over the wire by `download` only."""

    class Meta:
        model = InboundFile
        fields = [
            "id", "partner", "name", "size_bytes", "sha256", "container", "kinds", "status", "status_reason",
            "findings", "received_at", "read_at", "removed_at", "work_state", "attempts", "due_at", "last_error",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class InboundFileFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=InboundFileStatus.choices)

    class Meta:
        model = InboundFile
        fields: ClassVar[dict[str, list[str]]] = {
            "partner": ["exact"],
            "container": ["exact"],
            "sha256": ["exact"],
            "received_at": ["gte", "lt"],
        }


class InboundFileViewSet(ClinicViewSet):
    """Read-only, but that a file can be read again."""

    queryset = InboundFile.objects.defer("content")
    serializer_class = InboundFileSerializer
    permissions = permissions.INBOUND_FILE
    filterset_class = InboundFileFilter
    ordering_fields = ("received_at",)
    ordering = ("-received_at",)
    retry = verb(inbound_files.retry)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], filter_backends=[])
    def download(self, request: Request, **_kwargs: Any) -> HttpResponse:
        """Answer the bytes as they came."""
        row = self.get_object()
        self.note(row)
        name = f'attachment; filename="{row.pk}.txt"'
        return HttpResponse(
            bytes(row.content), content_type="application/octet-stream", headers={"Content-Disposition": name}
        )
