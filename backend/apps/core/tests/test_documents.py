"""Proves that an uploaded file is judged by its content and kept under a name that tells nothing."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.http import Http404
from PIL import Image, PngImagePlugin

from backend.apps.core import headers
from backend.apps.core.documents import LARGEST, Cleaned, KeptIn, download, kind_of, validate_document, validate_picture

SECRET = b"Zqxjk was here"


def picture(kind: str, mode: str = "RGB", **how: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (8, 4), how.pop("color", 1)).save(out, kind, **how)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of few bytes that says it is as large as this."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


PDF, PNG, JPG = b"%PDF-1.7", picture("PNG"), picture("JPEG")


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
        (validate_document, b"<svg xmlns='http://www.w3.org/2000/svg'/>", False),
        (validate_document, PDF + b"\n<HTML><body onload=x>", False),
        (validate_document, PDF + b"x" * 2000 + b"PK\x05\x06" + b"\0" * 18, False),
        (validate_picture, JPG + b"PK\x05\x06" + b"\0" * 18, False),
        (validate_picture, b"\xff\xd8\xff<script>", False),
        (validate_picture, PNG[:40], False),
        (validate_document, b"\x89PNG\r\n\x1a\n", False),
        (validate_picture, bomb(50_000, 50_000), False),
        (validate_picture, bomb(2**31 - 1, 2**31 - 1), False),
        (validate_picture, b"GIF89a" + b"\0" * 20, False),
    ],
    ids=range(17),
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


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("JPEG", "L"), ("JPEG", "CMYK")]
)
def test_a_picture_is_kept_without_what_is_no_part_of_it(tmp_path: Path, kind: str, mode: str) -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", SECRET.decode())
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = SECRET.decode(), 6  # what it shows, and that it lies on its side
    raw = picture(kind, mode, exif=exif, **({"pnginfo": told} if kind == "PNG" else {"comment": SECRET})) + SECRET
    assert SECRET in raw
    storage = Cleaned(location=tmp_path)
    name = storage.save("cards/one", upload(raw))
    kept = (tmp_path / name).read_bytes()
    assert SECRET not in kept
    with Image.open(io.BytesIO(kept)) as shown:
        assert (shown.format, shown.size, dict(shown.getexif())) == (kind, (4, 8), {})


MEASURED = """
import io, sys, threading, django
django.setup()
from django.core.files.base import ContentFile
from PIL import Image
from backend.apps.core import documents
def status(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0]) // 1000
out, size = io.BytesIO(), (4000, documents.MOST_PIXELS // 4000)
exif = Image.Exif()
exif[0x0112] = 6
Image.new("RGB", size).save(out, "JPEG", exif=exif)
def take():
    file = ContentFile(out.getvalue(), "x.jpg")
    documents.validate_document(file)
    store.save("x", file)
store = documents.Cleaned(sys.argv[1])
open("/proc/self/clear_refs", "w").write("5")
before, threads = status("VmRSS"), [threading.Thread(target=take) for _ in range(3)]
[one.start() for one in threads]
[one.join() for one in threads]
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the most memory held")
def test_the_largest_pictures_together_take_no_more_memory_than_one(tmp_path: Path) -> None:
    words = [sys.executable, "-c", MEASURED, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert len([*tmp_path.iterdir()]) == 3
    assert int(done.stdout) < 170, "megabytes, of three that would take 130 each"


def test_other_files_are_kept_as_they_came(tmp_path: Path) -> None:
    name = Cleaned(location=tmp_path).save("one.pdf", upload(PDF + SECRET))
    assert (tmp_path / name).read_bytes() == PDF + SECRET


def test_a_file_is_only_ever_downloaded() -> None:
    stored = SimpleNamespace(name="cards/0f.svg", open=lambda _: io.BytesIO(b"<svg/>"))
    answer = download(stored, "card-7")
    assert answer["Content-Disposition"] == 'attachment; filename="card-7.svg"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert (answer["X-Content-Type-Options"], answer["Content-Security-Policy"]) == ("nosniff", headers.FILE)
    with pytest.raises(Http404):
        download(None, "card-7")
