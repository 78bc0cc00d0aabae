"""The lines that a place outside is told: of a seal, of a month taken off, and of a loss that a person settled.

Each is `carerelay-audit KIND WHAT hash=H key=K sig=S`: H is the hash of the seal, of what was signed about the archive,
or of WHAT. With v=2 in WHAT, S is Ed25519 over KIND, WHAT and H, so that nobody gives a line another number; older ones
about seals and archives, and those about a loss, have it over H. A line about a loss makes those before it void that
tell of what was lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from backend.apps.core import audit_files, audit_keys, merkle
from backend.apps.core.models import AuditArchive, AuditSeal

SEAL, ARCHIVE, SETTLED = "seal", "archive", "settled"
LINE = re.compile(
    r"carerelay-audit (?P<kind>seal|archive|settled) (?P<what>[ -~]{1,300}?) hash=(?P<hash>[0-9a-f]{64}) "
    r"key=(?P<key>[0-9a-f]{16}) sig=(?P<signature>[0-9a-f]{128})"
)
NUMBERS = re.compile(r"\b(n|lost|v)=(\d{1,18})\b")
TOLD_AT = re.compile(r"\bat=([0-9TZ:-]{20})")
FILE = re.compile(r"\bfile=(\S+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an anchor. at, end: bytes of its file before it, and up to its end.

    n: of a seal its number, of a loss the last seal before it. lost: the last seal that was lost. file: of an archive,
    its name. told_at: when it was told, "" in lines of before; as text it sorts by time. version: 1 where its number is
    not under its signature.
    """

    at: int
    end: int
    kind: str
    what: str
    hash: bytes
    key_id: str
    signature: bytes
    n: int = 0
    lost: int = 0
    file: str = ""
    told_at: str = ""
    version: int = 1

    def is_signed(self, keys: merkle.Keys) -> bool:
        is_whole = self.kind != SETTLED or self.hash == _sum(self.what)
        said = self.hash if self.version == 1 else _whole(f"{self.kind} {self.what}", self.hash)
        return is_whole and merkle.is_signed(keys, self.key_id, self.signature, said)

    def voids(self, other: Line) -> bool:
        """Return whether this line, about a loss, makes the other one void."""
        return other.at < self.at and (other.kind == ARCHIVE or (other.kind == SEAL and self.n < other.n <= self.lost))

    def repeats(self, loss: Line) -> bool:
        """Return whether this line, about a seal, was told before that loss was settled and stands after it."""
        return loss.at < self.at and loss.n < self.n <= loss.lost and "" < self.told_at < loss.told_at


def of_seal(seal: AuditSeal, now: datetime) -> str:
    return _told(seal.sealed_at, f"{SEAL} n={seal.n} rows={seal.rows} at={_moment(now)} v=2", bytes(seal.hash))


def of_archive(row: AuditArchive, now: datetime) -> str:
    what = f"{ARCHIVE} file={row.file_name} rows={row.rows} at={_moment(now)} v=2"
    return _told(row.archived_at, what, audit_files.to_sign(row.statement))


def _told(at: datetime, what: str, said: bytes) -> str:
    return _line(at, what, said, audit_keys.sign(_whole(what, said)))


def of_loss(last: int, lost: int, now: datetime) -> str:
    """Return the line that what was told of the seals after `last`, up to `lost`, is void; signed now."""
    what = f"n={last} lost={lost} at={_moment(now)}"
    return _line(now, f"{SETTLED} {what}", _sum(what), audit_keys.sign(_sum(what)))


def _line(at: datetime, what: str, said: bytes, signature: bytes) -> str:
    proof = f"hash={said.hex()} key={audit_keys.name()} sig={signature.hex()}"
    return f"{_moment(at)} carerelay-audit {what} {proof}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _sum(what: str) -> bytes:
    return sha256(f"carerelay audit loss 1\n{what}".encode()).digest()


def _whole(what: str, said: bytes) -> bytes:
    return sha256(f"carerelay audit line 2\n{what}\n{said.hex()}".encode()).digest()


def read(path: Path, *, only: str = "", begin: int = 0) -> Iterator[Line]:
    """Yield what a file of anchors tells, in its order; a log of other things too is fine.

    only: this kind of line. begin: after so many bytes, where a line ended.
    """
    mark = f"carerelay-audit {only}".encode()
    with path.open("rb") as file:
        at = end = file.seek(begin)
        for data in file:
            at, end = end, end + len(data)
            if mark in data and (found := LINE.search(data.decode(errors="replace"))):
                yield _read(at, end, found)


def _read(at: int, end: int, found: re.Match[str]) -> Line:
    numbers, file = dict(NUMBERS.findall(found["what"])), FILE.search(found["what"])
    told_at = TOLD_AT.search(found["what"])
    return Line(
        at, end, found["kind"], found["what"], bytes.fromhex(found["hash"]), found["key"],
        bytes.fromhex(found["signature"]), n=int(numbers.get("n", 0)), lost=int(numbers.get("lost", 0)),
        file=file[1] if file else "", told_at=told_at[1] if told_at else "", version=int(numbers.get("v", 1)),
    )  # fmt: skip


def settled(path: Path, *, begin: int = 0) -> list[Line]:
    """Return the lines about losses, each only where it comes first: one sent again makes nothing void."""
    first = dict[bytes, Line]()
    for line in read(path, only=SETTLED, begin=begin):
        first.setdefault(line.hash, line)
    return list(first.values())


def standing(path: Path, losses: Sequence[Line], *, begin: int = 0) -> Iterator[Line]:
    """Yield the lines about seals and archives that none of these losses makes void."""
    for line in read(path, begin=begin):
        if line.kind != SETTLED and not any(loss.voids(line) for loss in losses):
            yield line
