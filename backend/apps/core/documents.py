"""What an uploaded file may be and where it is kept: the name a person gave it must not reach disk, log or URL.

A picture is kept as one we wrote ourselves: where it was taken, by which telephone, and whatever hides behind its end
stay behind.
"""

from __future__ import annotations

import io
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.http import FileResponse, Http404
from django.utils.deconstruct import deconstructible
from PIL import Image, ImageOps

from backend.apps.core import headers

LARGEST = 10 * 1024 * 1024  # bytes
MEDIA_TYPES = {"pdf": "application/pdf", "png": "image/png", "jpg": "image/jpeg"}
PICTURES = {"png": "PNG", "jpg": "JPEG"}  # what the library calls them
MOST_PIXELS = 16_000_000  # four bytes each, twice while it is turned; a telephone's picture has 12 million
ALONE = ThreadPoolExecutor(1, "pictures")  # one is unpacked at a time, by one thread, whose memory serves the next
PAGE = re.compile(rb"<\s*(?:!doctype|html|script|svg|iframe|body)\b", re.IGNORECASE)
HEAD, TAIL = 1024, 65_557  # bytes in which a browser or an archiver looks for what else a file may be
NO_PICTURE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # of a broken or hostile one
MARKS = {b"%PDF-": "pdf", b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}


def kind_of(file: Any) -> str | None:
    """Return "pdf", "png" or "jpg" by the first bytes of `file`, None for anything else; the name is not trusted."""
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    return next((kind for mark, kind in MARKS.items() if start.startswith(mark)), None)


class Inside(FileSystemStorage):
    """Opens only what lies in its folder, links followed: one put there would hand out any file of this machine."""

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        """Open a file.

        Raises:
            FileNotFoundError: there is none, or it is a link that leads elsewhere.
        """
        if not Path(self.path(name)).resolve().is_relative_to(Path(self.location).resolve()):
            raise FileNotFoundError("a link that leads out of the folder")
        return super()._open(name, mode)  # type: ignore[misc,no-any-return]  # the stubs leave it out


class Cleaned(Inside):
    """Keeps pictures as we write them anew, without anything that is no part of the picture."""

    def _save(self, name: str, content: Any) -> str:
        """Store a file.

        Raises:
            ValidationError: it is a picture that cannot be read.
        """
        kind = kind_of(content)
        if kind in PICTURES:
            content = ContentFile(ALONE.submit(_written_anew, content, kind).result())
        return super()._save(name, content)  # type: ignore[misc,no-any-return]  # the stubs leave it out


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
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    kind = file.name.rpartition(".")[2]
    return FileResponse(
        opened,
        as_attachment=True,
        filename=f"{name}.{kind}",
        content_type=MEDIA_TYPES.get(kind, "application/octet-stream"),
        headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": headers.FILE},
    )


def _check(file: Any, kinds: set[str], refusal: str) -> None:
    if getattr(file, "_committed", False):
        return
    if file.size > LARGEST:
        raise ValidationError("A file has at most 10 MB.", code="too_large")
    kind = kind_of(file)
    if kind not in kinds or _is_something_else(file):
        raise ValidationError(refusal, code="kind")
    if kind in PICTURES:
        ALONE.submit(_read, file, kind).result()


def _is_something_else(file: Any) -> bool:
    """Tell whether a browser could take the file for a page, or an archiver for an archive."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(max(file.size - TAIL, 0))
    tail = file.read(TAIL)
    file.seek(0)
    return PAGE.search(head) is not None or b"PK\x05\x06" in tail


def _read(file: Any, kind: str) -> None:
    """Raise ValidationError for a picture that cannot be read, or is too large."""
    _opened(file, kind)


def _opened(file: Any, kind: str) -> Image.Image:
    """Return a picture whose every pixel was read; the size its head tells is looked at first."""
    try:
        file.seek(0)
        picture = Image.open(file, formats=[PICTURES[kind]])
        if picture.width * picture.height > MOST_PIXELS:
            raise ValidationError("A picture has at most 16 million pixels.", code="too_large")
        picture.load()
    except NO_PICTURE:
        raise ValidationError("This picture cannot be read.", code="kind") from None
    finally:
        file.seek(0)
    return picture


def _written_anew(file: Any, kind: str) -> bytes:
    plain, out = _opened(file, kind), io.BytesIO()
    ImageOps.exif_transpose(plain, in_place=True)
    is_clear = "transparency" in plain.info or plain.mode in ("LA", "RGBA", "PA")
    wanted = "RGBA" if is_clear and kind == "png" else "L" if plain.mode in ("1", "L") else "RGB"
    if plain.mode != wanted or "transparency" in plain.info:
        plain = plain.convert(wanted)
    plain.info.clear()
    plain.save(out, PICTURES[kind], **({"quality": 90} if kind == "jpg" else {}))
    return out.getvalue()


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
