"""What may be uploaded as a credential's document; without it any file of any size would be kept and served."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import ValidationError

LARGEST = 10 * 1024 * 1024  # bytes
KINDS = {b"%PDF-": "pdf", b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}
MEDIA_TYPES = {"pdf": "application/pdf", "png": "image/png", "jpg": "image/jpeg"}


def kind_of(start: bytes) -> str | None:
    """Return "pdf", "png" or "jpg" by a file's first bytes, None for anything else; its name is not believed."""
    return next((kind for magic, kind in KINDS.items() if start.startswith(magic)), None)


def validate_document(file: Any) -> None:
    if file.size > LARGEST:
        raise ValidationError("A document has at most 10 MB.", code="too_large")
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    if kind_of(start) is None:
        raise ValidationError("A document is a PDF, PNG or JPEG file.", code="kind")


def document_path(credential: Any, _filename: str) -> str:
    """Return a new path that tells nothing about the doctor or the name the file had."""
    file = credential.document.file
    file.seek(0)
    kind = kind_of(file.read(16)) or "bin"
    file.seek(0)
    return f"credentials/{uuid.uuid4().hex}.{kind}"
