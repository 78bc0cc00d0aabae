"""Proves that an uploaded file is judged by its content and kept under a name that tells nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile

from backend.apps.core.documents import LARGEST, KeptIn, kind_of, validate_document, validate_picture

PDF, PNG, JPG = b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


def upload(content: bytes, name: str = "name of a person.exe") -> ContentFile:
    return ContentFile(content, name=name)


@pytest.mark.parametrize(("content", "kind"), [(PDF, "pdf"), (PNG, "png"), (JPG, "jpg"), (b"", None), (b"MZ", None)])
def test_the_content_tells_the_kind_and_stays_readable(content: bytes, kind: str | None) -> None:
    file = upload(content)
    assert kind_of(file) == kind
    assert file.read() == content


@pytest.mark.parametrize(
    ("validate", "content", "right"),
    [
        (validate_document, PDF, True),
        (validate_document, PNG, True),
        (validate_document, b"<script>", False),
        (validate_picture, JPG, True),
        (validate_picture, PDF, False),
        (validate_document, PDF + b"x" * (LARGEST - len(PDF)), True),
        (validate_document, PDF + b"x" * LARGEST, False),
    ],
    ids=range(7),
)
def test_kind_and_size_are_limited(validate: Any, content: bytes, right: bool) -> None:
    if right:
        validate(upload(content))
        return
    with pytest.raises(ValidationError):
        validate(upload(content))


def test_the_stored_name_is_random_and_ends_as_the_content_says() -> None:
    where = KeptIn("cards", "card")
    row = SimpleNamespace(card=SimpleNamespace(file=upload(PNG)))
    names = {where(row, "name of a person.exe") for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("cards/") and name.endswith(".png") and "person" not in name for name in names)
    assert KeptIn("cards", "card") == where
