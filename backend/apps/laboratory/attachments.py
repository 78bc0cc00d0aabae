"""Keeps documents that came inside messages; without it a scanned report would stay text nobody can open."""

from __future__ import annotations

import hashlib
import io

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from backend.apps.core.documents import LARGEST, kind_of
from backend.apps.laboratory.reports import DocumentIn

FOLDER = "lab_results"


def named(document: DocumentIn) -> tuple[str, str]:
    """Return the name the document is kept under, empty when it cannot be, and the sentence that stands for it.

    The name is the hash of the content: sent again it is the same file, and nobody guesses it. What it is, its first
    bytes say; what the sender calls it is not trusted.
    """
    kind = kind_of(io.BytesIO(document.content))
    if document.problem or kind is None or len(document.content) > LARGEST:
        why = document.problem or "No PDF, PNG or JPEG file of at most 10 MB."
        return "", f"A document came with this result and could not be kept here: {why} It is in the message."
    name = f"{FOLDER}/{hashlib.sha256(document.content).hexdigest()}.{kind}"
    return name, f"Attached: a document of {len(document.content):,} bytes ({kind.upper()})."


def keep(name: str, content: bytes) -> None:
    """Store a document once what points to it is committed; a filing that is taken back leaves no file.

    If we die in between, the message is filed again, and this is done again.
    """
    transaction.on_commit(lambda: _write(name, content))


def _write(name: str, content: bytes) -> None:
    if default_storage.exists(name):
        if default_storage.size(name) == len(content):
            return
        default_storage.delete(name)  # a write that was cut off
    stored = default_storage.save(name, ContentFile(content))
    if stored != name:  # somebody else stored the same at the same moment
        default_storage.delete(stored)
