"""Finds the messages in files, folders and archives, one at a time; without it a file would have to fit into memory."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from integrations.hl7 import batch, charsets
from integrations.hl7.head import BOM, FIRST
from integrations.hl7.mllp import START, Deframer, FrameTooLong

LARGEST = 20 * 1024 * 1024  # bytes of one message, as at the door
WHOLE = 4 * 1024 * 1024  # bytes; a file up to this size is taken apart in one piece
CHUNK = 1024 * 1024
UNPACKED = 4 * 1024**3  # bytes that may come out of one compressed file ...
RATIO, BEFORE_RATIO = 100, 16 * 1024 * 1024  # ... and how many times its size, once it is more than this
OTHERS = (".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz")
BETWEEN = b" \t\r\n"  # before the first message of a file
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


class Skip(Exception):
    """A file, or the rest of one, cannot be taken; the text says why and repeats nothing of it."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Source(NamedTuple):
    """One file, or one file of an archive. size: bytes on disk that are read when it is read, for the progress bar."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]
    packed: bool = False


def sources(path: Path) -> Iterator[Source]:
    """Yield `path` itself, or every file below it, in order; hidden files are left out, archives are opened.

    Raises:
        Skip: an archive cannot be opened.
    """
    for file in files(path):
        yield Source(
            str(file.relative_to(path.parent) if path.is_dir() else file.name), file.stat().st_size, opener(file)
        )


def files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        hidden = (below for below in sorted(path.rglob("*")) if not is_hidden(below.relative_to(path)))
        yield from (below for below in hidden if below.is_file())


def is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def opener(file: Path) -> Callable[[], IO[bytes]]:
    return lambda: file.open("rb")


def messages(source: Source, tell: Callable[[str], None]) -> Iterator[bytes]:
    """Yield each message of a source as its own bytes; what holds none is one message, which will be refused.

    tell: hears what is wrong with the whole: counts of a batch that differ, messages that are too long.

    Raises:
        Skip: nothing more can be read from it.
    """
    name = source.name.lower()
    if name.endswith(OTHERS):
        raise Skip("this kind of archive is not opened; unpack it first")
    with readable():
        if name.endswith(".zip"):
            yield from _of_zip(source, tell)
        elif name.endswith(".gz"):
            with source.open() as packed, gzip.open(packed) as stream:
                yield from _of_stream(Limited(stream, source.size), tell)
        else:
            with source.open() as stream:
                yield from _of_stream(stream, tell)


@contextmanager
def readable() -> Iterator[None]:
    """Turn every way in which a file or archive can be damaged into one refusal."""
    try:
        yield
    except FrameTooLong:
        raise Skip(f"a message is larger than {LARGEST // 2**20} MB; what follows it is not taken") from None
    except UNREADABLE as error:
        raise Skip(getattr(error, "strerror", None) or f"it cannot be read ({type(error).__name__})") from None


class Watched:
    """A file that tells how much of it has been read."""

    def __init__(self, stream: IO[bytes], tell: Callable[[int], None]) -> None:
        self._stream, self._tell = stream, tell

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._tell(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def watched(opens: Callable[[], IO[bytes]], tell: Callable[[int], None]) -> Any:
    """Open a file that tells how much of it has been read."""
    return Watched(opens(), tell)


class Limited:
    """What comes out of a compressed file, cut off when it is too much: a small file can hold terabytes of nothing."""

    def __init__(self, stream: Readable, packed: int) -> None:
        self._stream, self._read = stream, 0
        self._most = min(UNPACKED, max(BEFORE_RATIO, packed * RATIO))

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._read += len(data)
        if self._read > self._most:
            raise Skip(f"more than {self._most // 2**20} MB come out of it; unpack it first if that is right")
        return data


def _of_zip(source: Source, tell: Callable[[str], None]) -> Iterator[bytes]:
    with source.open() as packed, zipfile.ZipFile(packed) as archive:
        for inner in archive.infolist():
            if inner.is_dir() or is_hidden(Path(inner.filename)):
                continue
            if inner.filename.lower().endswith((".zip", ".gz", *OTHERS)):
                tell(f"{inner.filename}: an archive inside an archive is not opened")
                continue
            with archive.open(inner) as stream:
                yield from _of_stream(Limited(stream, inner.compress_size), partial(_told_of, tell, inner.filename))


def _told_of(tell: Callable[[str], None], name: str, what: str) -> None:
    tell(f"{name}: {what}")


def _of_stream(stream: Readable, tell: Callable[[str], None]) -> Iterator[bytes]:
    """Yield the messages of one file: framed as on the wire, in any number, or a batch; whole when it is small."""
    first = _read(stream, WHOLE)
    if first.removeprefix(BOM).lstrip(BETWEEN).startswith(START):
        yield from _framed(first, stream, tell)
    elif len(first) < WHOLE:
        yield from batch.messages(first) or ([first] if first.strip() else [])
        _tell_findings(batch.describe(first), tell)
    elif charsets.wide(first):
        raise Skip("a file in UTF-16 or UTF-32 of this size is not taken apart; write it in UTF-8")
    else:
        yield from _large(first, stream, tell)


def _read(stream: Readable, size: int) -> bytes:
    """Return `size` bytes, fewer only at the end of the file."""
    parts, missing = [], size
    while missing > 0 and (part := stream.read(min(CHUNK, missing))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _framed(first: bytes, stream: Readable, tell: Callable[[str], None]) -> Iterator[bytes]:
    """Yield what is in each frame, as the door takes it: a message, or those of a batch."""
    for content in _frames(first, stream, tell):
        whole, found = batch.of_frame(content, LARGEST) or (None, [content])
        yield from found
        _tell_findings(whole, tell)


def _frames(first: bytes, stream: Readable, tell: Callable[[str], None]) -> Iterator[bytes]:
    deframer = Deframer(LARGEST)
    yield from deframer.feed(first)
    while chunk := stream.read(CHUNK):
        yield from deframer.feed(chunk)
    yield from deframer.feed(b"")  # refuses now what was too long in the last chunk
    if deframer.skipped:
        tell(f"{deframer.skipped} bytes stand outside of any whole message and were left out")
    if deframer.pending:
        raise Skip("its last message breaks off")


def _large(first: bytes, stream: Readable, tell: Callable[[str], None]) -> Iterator[bytes]:
    """Yield the messages of a file that need not fit into memory.

    `skeleton` is the file without its messages' content: enough to compare what its trailers count.
    """
    skeleton, found = bytearray(), 0
    for piece in _pieces(first, stream):
        if piece is None:
            tell(f"message {found + 1} is larger than {LARGEST // 2**20} MB and was left out")
            found += 1
        elif piece.startswith(b"MSH"):
            found += 1
            yield batch.ENVELOPE.sub(b"", piece) if _may_hold_envelope(piece) else piece
            skeleton += b"MSH|\r"
        if piece and _may_hold_envelope(piece):
            skeleton += b"".join(line[0].rstrip(b"\r\n") + b"\r" for line in batch.ENVELOPE.finditer(piece))
    if not found:
        raise Skip("it holds no message")
    _tell_findings(batch.describe(bytes(skeleton)), tell)


def _pieces(first: bytes, stream: Readable) -> Iterator[bytes | None]:
    """Yield what lies before the first message, then each message up to the next; None for one that is too long."""
    buffer, dropping = first.removeprefix(BOM).lstrip(), False
    while True:
        starts = list(_starts(buffer))
        if dropping and starts:
            buffer, starts, dropping = buffer[starts[0] :], [start - starts[0] for start in starts], False
        cuts = [0, *(start for start in starts if start)] if buffer else []
        for begin, end in pairwise(cuts):
            yield buffer[begin:end]
        buffer = buffer[cuts[-1] :] if cuts else b""
        if len(buffer) > LARGEST or dropping:
            if not dropping:
                yield None
            buffer, dropping = b"." + buffer[-8:], True  # MSH may lie across the edge; the dot is no line end
        if not (chunk := stream.read(CHUNK)):
            break
        buffer += chunk
    if buffer and not dropping:
        yield buffer


def _starts(buffer: bytes) -> Iterator[int]:
    """Yield where messages begin; a plain search is many times as fast as a pattern."""
    start = buffer.find(b"MSH")
    while start >= 0:
        if (start == 0 or buffer[start - 1] in b"\r\n") and FIRST.match(buffer, start):
            yield start
        start = buffer.find(b"MSH", start + 3)


def _may_hold_envelope(piece: bytes) -> bool:
    return any(name in piece for name in (b"FHS", b"BHS", b"BTS", b"FTS"))


def _tell_findings(whole: batch.Batch | None, tell: Callable[[str], None]) -> None:
    for finding in whole.findings if whole else ():
        tell(f"{finding.segment} {finding.number}: {finding.message}")
