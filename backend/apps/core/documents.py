"""What an uploaded file may be and where it is kept: the name a person gave it must not reach disk, log or URL."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.http import FileResponse, Http404
from django.utils.deconstruct import deconstructible

LARGEST = 10 * 1024 * 1024  # bytes
MEDIA_TYPES = {"pdf": "application/pdf", "png": "image/png", "jpg": "image/jpeg"}
MARKS = {b"%PDF-": "pdf", b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}


def kind_of(file: Any) -> str | None:
    """Return "pdf", "png" or "jpg" by the first bytes of `file`, None for anything else; the name is not trusted."""
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    return next((kind for mark, kind in MARKS.items() if start.startswith(mark)), None)


def validate_document(file: Any) -> None:
    """Accept a PDF, PNG or JPEG file of at most 10 MB; a file that is stored already was checked then."""
    _check(file, {"pdf", "png", "jpg"}, "This must be a PDF, PNG or JPEG file.")


def validate_picture(file: Any) -> None:
    """Accept a PNG or JPEG picture of at most 10 MB; a file that is stored already was checked then."""
    _check(file, {"png", "jpg"}, "This must be a PNG or JPEG picture.")


def download(file: Any, name: str) -> FileResponse:
    """Answer a stored file as a download called `name`, never as a page.

    Raises:
        Http404: there is no file.
    """
    if not file:
        raise Http404
    kind = file.name.rpartition(".")[2]
    return FileResponse(
        file.open("rb"),
        as_attachment=True,
        filename=f"{name}.{kind}",
        content_type=MEDIA_TYPES.get(kind, "application/octet-stream"),
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _check(file: Any, kinds: set[str], refusal: str) -> None:
    if getattr(file, "_committed", False):
        return
    if file.size > LARGEST:
        raise ValidationError("A file has at most 10 MB.", code="too_large")
    if kind_of(file) not in kinds:
        raise ValidationError(refusal, code="kind")


@deconstructible
class KeptIn:
    """An `upload_to` that files each upload of field `field` under a random name in `folder`."""

    def __init__(self, folder: str, field: str) -> None:
        self.folder, self.field = folder, field

    def __call__(self, row: Any, filename: str) -> str:
        stored = getattr(row, self.field)
        kind = kind_of(stored.file) if stored else None
        return f"{self.folder}/{uuid.uuid4().hex}.{kind or 'bin'}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeptIn) and (self.folder, self.field) == (other.folder, other.field)

    def __hash__(self) -> int:
        return hash((self.folder, self.field))
