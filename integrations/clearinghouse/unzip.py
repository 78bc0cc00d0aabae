"""Opens answers that come zipped; without limits one small file could fill the memory of a worker."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from integrations.clearinghouse.port import is_name
from integrations.errors import Permanent

MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
ENCRYPTED = 0x1  # bit 0 of the flags
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)
LITTLE = 65_536  # bytes: so small a file may shrink to any size


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too much. total_bytes: of all files, unpacked. ratio: how many times smaller a file may have become."""

    files: int = 200
    total_bytes: int = 256 * 1024 * 1024
    ratio: int = 200


def is_zip(content: bytes) -> bool:
    return content.startswith(MAGIC)


def members(content: bytes, limits: Limits | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file, one at a time.

    What the directory of the archive tells is checked before the first file is yielded, what it hides when it is met:
    so keep nothing of an archive that raised.

    Raises:
        Permanent: codes "zip:broken", "zip:encrypted", "zip:path", "zip:nested", "zip:files", "zip:size", "zip:ratio".
    """
    bounds = limits or Limits()
    try:
        archive = zipfile.ZipFile(BytesIO(content))
    except BROKEN:
        raise _broken() from None
    with archive:
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check_directory(files, bounds)
        left = bounds.total_bytes
        for entry in files:
            body = _read(archive, entry, left)
            left -= len(body)
            _check_ratio(len(body), entry.compress_size, bounds)
            if is_zip(body):
                raise Permanent("an archive inside an archive", code="zip:nested")
            yield entry.filename, body


def _check_directory(files: list[zipfile.ZipInfo], bounds: Limits) -> None:
    if len(files) > bounds.files:
        raise Permanent(f"{len(files)} files in one archive", code="zip:files")
    if any(entry.flag_bits & ENCRYPTED for entry in files):
        raise Permanent("an encrypted archive", code="zip:encrypted")
    if any(entry.compress_type not in METHODS for entry in files):
        raise _broken()
    if not all(is_name(entry.orig_filename) for entry in files):
        raise Permanent("an archive with paths or hidden files", code="zip:path")
    if sum(entry.file_size for entry in files) > bounds.total_bytes:
        raise _too_big(bounds.total_bytes)
    for entry in files:
        _check_ratio(entry.file_size, entry.compress_size, bounds)


def _check_ratio(size: int, packed: int, bounds: Limits) -> None:
    if size > max(packed * bounds.ratio, LITTLE):
        raise Permanent(f"a file that grew more than {bounds.ratio} times", code="zip:ratio")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> bytes:
    """Return the content; the library ends at the size the directory tells, and checks its sum."""
    try:
        with archive.open(entry) as file:
            body = file.read(left + 1)
    except BROKEN:
        raise _broken() from None
    if len(body) > left:
        raise _too_big(left)
    return body


def _too_big(most: int) -> Permanent:
    return Permanent(f"more than {most} bytes in one archive", code="zip:size")


def _broken() -> Permanent:
    return Permanent("not an archive that can be read", code="zip:broken")
