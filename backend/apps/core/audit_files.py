"""Reads and writes the files of months that were taken off the audit log: what was sealed stays provable in them.

A file is gzip of lines: a JSON object that says what it is, each row as the text its digest is taken of, in the order
of transaction and key, and a JSON object with their number, their Merkle root and a signature over both. Nobody needs
the database to verify it, only the public key.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from backend.apps.core import audit_keys, merkle
from backend.apps.core.models import AuditArchive

FORMAT = "carerelay audit archive 1"
LOCK = 4_171_926_004  # of who takes a month off, shared by who holds rows to seals
LONGEST = 1 << 24  # bytes of a line; a row has some hundred
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
DAMAGED = "The file is damaged or cut off."
NO_ARCHIVE = "The file is no archive of the audit log, or its end is missing."


class BadFile(ValueError):
    """The file is not what was signed; the message says in what."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file says of itself, after it was verified."""

    label: str
    rows: int
    root: bytes
    file_sha256: bytes


@dataclass(slots=True)
class Taken:
    """Which leaves of which seals are not in the log any more, for they are in a file."""

    whole: list[tuple[int, int]] = field(default_factory=list)
    parts: dict[int, set[bytes]] = field(default_factory=dict)

    def rest(self, n: int, leaves: merkle.Bytes) -> bytes:
        """Return those leaves of seal `n` whose rows have to be in the log."""
        if any(first <= n <= last for first, last in self.whole):
            return b""
        keys = self.parts.get(n)
        if not keys:
            return bytes(leaves)
        return b"".join(leaf for leaf in merkle.split(leaves) if leaf[: merkle.KEY] not in keys)

    def add(self, said: dict[str, Any]) -> None:
        self.whole += [(first, last) for first, last in said["whole"]]
        for n, keys in said["parts"].items():
            self.parts.setdefault(int(n), set()).update(UUID(key).bytes for key in keys)


def taken(find: Callable[[str], None]) -> Taken:
    """Return what all archives hold; one whose statement was not signed by us counts for nothing and is told."""
    found = Taken()
    for said in said_of_all(find):
        found.add(said)
    return found


def said_of_all(find: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what was signed of each file, the oldest first, and tell of what was not."""
    keys = audit_keys.known()
    for row in AuditArchive.objects.order_by("archived_at", "id"):
        if merkle.is_signed(keys, row.key_id, bytes(row.signature), to_sign(row.statement)):
            yield json.loads(row.statement)
        else:
            find(f"What is said of the file {row.file_name} is not signed by a key of ours.")


def to_sign(statement: str) -> bytes:
    return sha256(f"{FORMAT}\n{statement}".encode()).digest()


def write(path: Path, label: str, rows: Iterable[str]) -> Content:
    """Write a file of these rows, each the text its digest is taken of; it has its name only once it is whole."""
    tree, fresh = merkle.Tree(), path.with_suffix(".part")
    with fresh.open("wb") as under, gzip.GzipFile(filename="", fileobj=under, mode="wb", mtime=0) as file:
        file.write(_line({"format": FORMAT, "label": label}))
        for text in rows:
            data = text.encode()
            tree.add(sha256(data).digest())
            file.write(data + b"\n")
        root = tree.root()
        signature = audit_keys.sign(_sum(label, tree.rows, root))
        last = {"rows": tree.rows, "root": root.hex(), "key": audit_keys.name(), "signature": signature.hex()}
        file.write(_line(last))
    fresh.chmod(0o600)
    fresh.replace(path)
    return Content(label, tree.rows, root, digest_of(path))


def read(path: Path) -> Content:
    """Verify a file and return what it says.

    Raises:
        BadFile: a row, the number or the order of rows is not what was signed, or nobody we know signed it.
        OSError: it cannot be read.
    """
    tree, last = merkle.Tree(), b""
    try:
        with gzip.open(path, "rb") as file:
            head = _object(file.readline(LONGEST))
            while data := file.readline(LONGEST):
                if last:
                    tree.add(sha256(last.rstrip(b"\n")).digest())
                last = data
    except DAMAGE:
        raise BadFile(DAMAGED) from None
    foot = _object(last)
    if head.get("format") != FORMAT or not isinstance(foot.get("rows"), int):
        raise BadFile(NO_ARCHIVE)
    root, label = tree.root(), str(head.get("label"))
    if foot["rows"] != tree.rows or foot.get("root") != root.hex():
        raise BadFile("The rows in the file are not those that were signed.")
    said = _sum(label, tree.rows, root)
    if not merkle.is_signed(audit_keys.known(), str(foot.get("key")), _bytes(foot.get("signature")), said):
        raise BadFile("The file is not signed by a key of ours.")
    return Content(label, tree.rows, root, digest_of(path))


def rows_of(path: Path) -> Iterator[list[Any]]:
    """Yield the rows of a file as lists of their columns, without verifying them."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for text in file:
            row = json.loads(text)
            if isinstance(row, list):
                yield row


def digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        found = sha256()
        while block := file.read(1 << 20):
            found.update(block)
    return found.digest()


def _sum(label: str, rows: int, root: bytes) -> bytes:
    return sha256(f"{FORMAT}\n{label}\n{rows}\n{root.hex()}".encode()).digest()


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True).encode() + b"\n"


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BadFile(DAMAGED) from None
    if not isinstance(found, dict):
        raise BadFile(NO_ARCHIVE)
    return found


def _bytes(hexadecimal: object) -> bytes:
    try:
        return bytes.fromhex(str(hexadecimal))
    except ValueError:
        return b""
