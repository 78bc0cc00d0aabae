"""Writes one file of an export so that it is whole or not there; without it a crash would leave halves."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages
from isal import isal_zlib

LEVEL, GZIP = 1, 31  # of compression; how zlib is told to write gzip
SUFFIX, PART = ".ndjson.gz", ".part"
PARTS_KEPT_S = 3600


@dataclass(frozen=True, slots=True)
class Finished:
    """A file that is in its storage for good. sha256 and size_bytes are of what was written, not of the gzip."""

    path: str
    count: int
    size_bytes: int
    stored_bytes: int
    sha256: str


class Ndjson:
    """One file while it is written; nothing is at `path` before `close`."""

    def __init__(self, path: str) -> None:
        self.path, self.count, self.size = path, 0, 0
        self._storage = storages["exports"]
        folder = _folder(self._storage, path)
        descriptor, name = tempfile.mkstemp(prefix=f"{Path(path).name}.", suffix=PART, dir=folder)
        self._part = Path(name)
        self._out = os.fdopen(descriptor, "wb")
        self._gzip = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
        self._hash = hashlib.sha256()

    def write(self, data: bytes, count: int) -> None:
        """Add lines, each with its line feed."""
        self._hash.update(data)
        self._out.write(self._gzip.compress(data))
        self.size += len(data)
        self.count += count

    def close(self) -> Finished:
        self._out.write(self._gzip.flush())
        self._out.flush()
        os.fsync(self._out.fileno())
        stored = self._out.tell()
        self._out.close()
        _publish(self._storage, self._part, self.path)
        return Finished(self.path, self.count, self.size, stored, self._hash.hexdigest())

    def discard(self) -> None:
        self._out.close()
        self._part.unlink(missing_ok=True)


def _folder(storage: Storage, path: str) -> Path:
    """Return where to write what will be at `path`: beside it on our own disk, in a folder of our own otherwise."""
    folder = Path(storage.path(path)).parent if isinstance(storage, FileSystemStorage) else _parts()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _parts() -> Path:
    return Path(settings.DATA_DIR) / "export-parts"


def sweep_parts() -> int:
    """Remove what killed workers left on its way to another place; return how many. Nobody writes one for so long."""
    old = time.time() - PARTS_KEPT_S
    left = [path for path in _parts().glob(f"*{PART}") if path.stat().st_mtime < old]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _publish(storage: Storage, part: Path, path: str) -> None:
    if not isinstance(storage, FileSystemStorage):
        with part.open("rb") as whole:
            storage.save(path, File(whole))
        part.unlink()
        return
    target = Path(storage.path(path))
    part.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the name, too, is there after a power cut
    finally:
        os.close(descriptor)


def on_our_disk() -> bool:
    return isinstance(storages["exports"], FileSystemStorage)


def remove(paths: Collection[str]) -> None:
    """Remove files that nobody was told of; one that is gone already is no error."""
    storage = storages["exports"]
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            storage.delete(path)


def left_behind(folder: str, stem: str, kept: Collection[str]) -> list[str]:
    """Return what lies in a folder under names that begin with `stem`, but for the paths in `kept`."""
    try:
        _, names = storages["exports"].listdir(folder)
    except FileNotFoundError:
        return []
    found = (f"{folder}/{name}" for name in names if name.startswith(stem))
    return [path for path in found if path not in kept]
