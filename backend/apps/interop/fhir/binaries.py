"""What a DocumentReference points at: the text of a signed note or a stored file, streamed to who may see it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from django.core.exceptions import SuspiciousOperation
from django.http import FileResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from backend.apps.clinical_notes.models import ClinicalNote
from backend.apps.core.connections import let_go
from backend.apps.core.documents import MEDIA_TYPES
from backend.apps.core.permissions import may
from backend.apps.interop.fhir.door import FhirView
from backend.apps.interop.fhir.note_text import written
from backend.apps.interop.fhir.outcomes import Forbidden, NotFound
from backend.apps.interop.fhir.smart.scopes import allowed
from backend.apps.interop.fhir.sources.documents import NOTES, RESULT_DOCUMENTS, WRITTEN
from backend.apps.interop.fhir.streaming import in_pieces
from backend.apps.laboratory.models import LabResult

NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PIECE = 3 * 64 * 1024  # bytes; threes of bytes are fours of base64, so that pieces join


@dataclass(frozen=True, slots=True)
class Stored:
    """Some content: `open` gives it as a file. document: the DocumentReference it belongs to; patient: whose it is."""

    open: Callable[[], Any]
    media_type: str
    filename: str
    document: UUID
    patient: UUID


class Binaries(FhirView):
    """`GET Binary/[id]`: the content as it is, or base64 in a Binary for who asks for FHIR (R4, "Binary")."""

    verb = "download"

    def resource_type(self) -> str:
        return "Binary"

    def spoken(self, request: Request) -> str:
        """Return FHIR's media type where that is asked for first, "" for the content's own."""
        self.headers["Vary"] = "Accept"
        wanted = request.query_params.get("_format", "") or request.headers.get("Accept", "")
        first = wanted.split(",")[0].lower()
        return super().spoken(request) if "json" in first or "fhir" in first else ""

    def get(self, request: Request, fhir_id: str, **_kwargs: Any) -> HttpResponseBase:
        found = self._find(fhir_id)
        content = _opened(found)
        self.note(fhir_id, patient_id=found.patient)
        answer = self._headed(found, content)
        answer["Cache-Control"] = "no-store"
        pieces = _read(content)
        if request.method == "HEAD":
            content.close()
            pieces = _nothing()
        elif self.media_type:
            pieces = _as_resource(fhir_id, found, pieces)
        answer.streaming_content = in_pieces(request._request, pieces)
        return answer

    def _headed(self, found: Stored, content: Any) -> StreamingHttpResponse:
        """Return the answer without its content."""
        if self.media_type:
            return StreamingHttpResponse(content_type=self.media_type)
        return FileResponse(
            content,
            as_attachment=True,
            filename=found.filename,
            content_type=found.media_type,
            headers={"X-Content-Type-Options": "nosniff"},
        )

    def _find(self, fhir_id: str) -> Stored:
        user = self.request.user
        notes, results = NOTES.may(user, "retrieve"), may(user, "document", RESULT_DOCUMENTS.permissions)
        scoped = any(allowed(user, name, "r") for name in ("Binary", "DocumentReference"))
        if not (scoped and (notes or results)):
            raise Forbidden
        named = NAME.fullmatch(fhir_id)
        found = None
        if named and notes:
            found = _of_note(UUID(fhir_id), user)
        if named and results:
            found = found or _of_result(UUID(fhir_id), user)
        if found is None:
            raise NotFound
        return found


def _of_note(pk: UUID, user: Any) -> Stored | None:
    """Return the text of a signed note; the files it names are paths that a person wrote, and nobody's to give away."""
    rows = NOTES.visible(user).filter(pk=pk, is_signed=True, is_deleted=False)
    note: ClinicalNote | None = rows.exclude(patient__is_deleted=True, patient__merged_into=None).first()
    if note is None:
        return None
    return Stored(lambda: BytesIO(written(note).encode()), WRITTEN, f"note-{pk}.txt", pk, note.patient_id)


def _of_result(pk: UUID, user: Any) -> Stored | None:
    """Return the document that came with a result, with any version of it that the user may see."""
    rows = RESULT_DOCUMENTS.visible(user).filter(pk=pk, is_deleted=False).exclude(file_attachment="")
    rows = rows.exclude(lab_order__patient__is_deleted=True, lab_order__patient__merged_into=None)
    result: LabResult | None = rows.select_related("lab_order").first()
    if result is None:
        return None
    kind = str(result.file_attachment.name).rpartition(".")[2]
    media_type = MEDIA_TYPES.get(kind, "application/octet-stream")
    patient = result.lab_order.patient_id
    return Stored(lambda: result.file_attachment.open("rb"), media_type, f"result-{pk}.{kind}", pk, patient)


def _opened(found: Stored) -> Any:
    try:
        return found.open()
    except (FileNotFoundError, SuspiciousOperation):
        raise NotFound("The file of this document is not in our storage.") from None


def _nothing() -> Generator[bytes]:
    yield from ()


def _read(content: Any) -> Generator[bytes]:
    """Yield the content piece by piece, so that a large file is never in memory as a whole."""
    let_go()  # a slow reader needs no connection
    with content:
        while piece := content.read(PIECE):
            yield piece


def _as_resource(fhir_id: str, found: Stored, pieces: Iterable[bytes]) -> Generator[bytes]:
    about = {"reference": f"DocumentReference/{found.document}"}
    head = {"resourceType": "Binary", "id": fhir_id, "contentType": found.media_type, "securityContext": about}
    yield json.dumps(head)[:-1].encode() + b', "data": "'
    yield from map(base64.b64encode, pieces)
    yield b'"}'
