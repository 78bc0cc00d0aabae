"""The resources `lab-specimens` and `lab-code-mappings`, and the door to documents that came with results."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from backend.apps.core import documents
from backend.apps.core.serializers import ClinicSerializer
from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet
from backend.apps.laboratory import codes, permissions
from backend.apps.laboratory.models import LabCodeMapping, LabSpecimen


class LabSpecimenSerializer(ClinicSerializer):
    patient = serializers.UUIDField(source="lab_order.patient_id", read_only=True)
    is_rejected = serializers.BooleanField(read_only=True)

    class Meta:
        model = LabSpecimen
        fields = [
            "id", "lab_order", "patient", "specimen_id", "type_code", "type_text", "type_system", "site", "description",
            "collected_at", "collected_until", "received_at", "condition", "reject_reason", "is_rejected",
            "source_message", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class LabSpecimenViewSet(ReadOnlyClinicViewSet):
    queryset = LabSpecimen.objects.select_related("lab_order")
    serializer_class = LabSpecimenSerializer
    permissions = permissions.LAB_SPECIMEN
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "lab_order": ["exact"],
        "lab_order__patient": ["exact"],
        "source_message": ["exact"],
    }


class LabCodeMappingSerializer(ClinicSerializer):
    class Meta:
        model = LabCodeMapping
        fields = [
            "id", "feed", "code", "system", "lab_test", "version", "is_current", "created_by", "created_at",
            "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["version", "is_current", "created_by"]
        validators: ClassVar[list[Any]] = []  # to map a code again is how its meaning is changed
        extra_kwargs: ClassVar[dict[str, Any]] = {"feed": {"required": False}, "system": {"required": False}}


class LabCodeMappingViewSet(ClinicViewSet):
    """To map a code again makes another version; results keep the one they were filed by."""

    queryset = LabCodeMapping.objects.all()
    serializer_class = LabCodeMappingSerializer
    permissions = permissions.LAB_CODE_MAPPING
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "feed": ["exact"],
        "code": ["exact"],
        "lab_test": ["exact"],
        "is_current": ["exact"],
    }
    creates = codes.map_code


class WithDocument:
    """Gives a viewset of results the door to the document that came with one."""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"])
    def document(self, request: Request, pk: str | None = None) -> FileResponse:
        """Return the document itself, always as a download and never as a page."""
        view: Any = self
        result = view.get_object()
        answer = documents.download(result.file_attachment, f"result-{result.pk}")
        view.note(result)
        return answer
