"""The resources `clinical-notes`, `soap-notes`, `progress-notes` and `clinical-note-templates`."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.clinical_notes import permissions, services
from backend.apps.clinical_notes.models import ClinicalNote, ClinicalNoteTemplate, ProgressNote, SOAPNote
from backend.apps.clinical_notes.serializers import (
    ClinicalNoteSerializer,
    ClinicalNoteTemplateSerializer,
    ProgressNoteSerializer,
    SOAPNoteSerializer,
)
from backend.apps.core.views import ClinicViewSet, verb


class RemovedByOwner(ClinicViewSet):
    """Rows that a doctor removes only when they are the doctor's own."""

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        services.check_own(self.get_object(), by=request.user)
        return super().destroy(request, *args, **kwargs)


class ClinicalNoteViewSet(RemovedByOwner):
    queryset = ClinicalNote.objects.select_related("doctor__user")
    serializer_class = ClinicalNoteSerializer
    permissions = permissions.NOTE
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "patient": ["exact"],
        "doctor": ["exact"],
        "appointment": ["exact"],
        "note_type": ["exact"],
        "is_signed": ["exact"],
        "amends": ["exact"],
        "created_at": ["gte", "lt"],
        "signed_at": ["gte", "lt"],
        "follow_up_date": ["gte", "lte"],
    }
    ordering_fields = ("created_at", "signed_at", "follow_up_date")
    creates = services.write
    updates = services.rewrite
    sign = verb(services.sign)
    amend = verb(services.amend)


class SOAPNoteViewSet(ClinicViewSet):
    queryset = SOAPNote.objects.select_related("clinical_note")
    serializer_class = SOAPNoteSerializer
    permissions = permissions.NOTE_PART
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "clinical_note": ["exact"],
        "clinical_note__patient": ["exact"],
        "created_at": ["gte", "lt"],
    }
    creates = services.write_soap
    updates = services.rewrite_part


class ProgressNoteViewSet(ClinicViewSet):
    queryset = ProgressNote.objects.select_related("clinical_note")
    serializer_class = ProgressNoteSerializer
    permissions = permissions.NOTE_PART
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "clinical_note": ["exact"],
        "clinical_note__patient": ["exact"],
        "created_at": ["gte", "lt"],
    }
    creates = services.write_progress
    updates = services.rewrite_part


class ClinicalNoteTemplateViewSet(RemovedByOwner):
    queryset = ClinicalNoteTemplate.objects.select_related("doctor")
    serializer_class = ClinicalNoteTemplateSerializer
    permissions = permissions.TEMPLATE
    filterset_fields: ClassVar[dict[str, list[str]]] = {"doctor": ["exact", "isnull"], "note_type": ["exact"]}
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at")
    ordering = ("name",)
    creates = services.keep_template
    updates = services.change_template
