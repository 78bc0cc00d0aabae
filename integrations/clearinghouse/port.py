"""The port for files to and from a clearinghouse: what every transport takes, returns and raises."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from integrations.errors import IntegrationError, Permanent

ADDRESS_DIGITS = 40  # of the 64 of a place; the others tell what stands behind the address
LONGEST_NAME = 200  # bytes; file systems end at 255, and the name of a part is longer
SEPARATORS = frozenset("/\\")
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # Unicode categories: control, format, surrogate, line ends


class Placed(StrEnum):
    """Where a file of ours stands at the partner."""

    PART = "part"  # uploaded under its hidden name: the partner does not take it yet
    FINAL = "final"  # under its own name, and no part: only our rename does that
    BOTH = "both"  # somebody else's file has its name: our part was not renamed
    NEITHER = "neither"  # never uploaded; or, after a whole part was seen, renamed and taken: only we remove the part


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file the partner has for us. size: bytes, as listed; a file may still grow. modified_at: aware."""

    name: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a partner said when it took a file. repeated: it had the file already, and took it once."""

    reference: str
    repeated: bool = False


class Door(Protocol):
    """What all transports can do. One per thread; a connection is opened when needed and kept until the `with` ends.

    Everything raises only `Transient`, `Misconfigured`, `Permanent` or `Unknown`, with codes such as "sftp:auth".
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """End the connection, if there is one; the next call opens another."""

    def probe(self) -> None:
        """Connect and look at both folders, or at the list of answers; nothing is changed."""

    def listing(self) -> Sequence[RemoteFile]:
        """Return what waits for us, the oldest first: regular files with names that `is_name` allows."""

    def fetch(self, name: str, most_bytes: int) -> bytes:
        """Return a file's content.

        Raises:
            Permanent: code "...:too_big", it is longer than `most_bytes`.
            Transient: code "...:gone", somebody took it away since it was listed.
        """

    def remove(self, name: str) -> None:
        """Take a file off the partner's list once its content is kept; it may be gone already."""


class Staged(Door, Protocol):
    """A transport that uploads out of sight and then renames, so that a cut never leaves half a file to be taken.

    After `put_part` the caller commits that the part stands there; then it renames. Whoever comes after a crash asks
    `state`: PART is renamed, FINAL and NEITHER have been sent, BOTH is for a person. Only the caller's own rename
    removes a part.
    """

    def put_part(self, name: str, content: bytes) -> str:
        """Upload under the hidden name, over what an earlier try left, and check the size. Repeatable.

        Returns the place where it stands, see `place_of`: `state` wants to know it.

        Raises:
            Transient, Misconfigured: no file of ours is to be seen by the partner.
        """

    def state(self, name: str, at: str = "") -> Placed:
        """Tell where a file of ours stands. at: the place that `put_part` told, "" if nobody knows.

        Raises:
            Permanent: code "...:moved", it was put elsewhere: only there is seen what became of it.
            Transient: code "...:elsewhere", another disk stands in the folder for now, and tells nothing.
        """

    def rename(self, name: str) -> None:
        """Give the part its own name in one step.

        Raises:
            Permanent: code "...:exists", the partner has a file of that name, which is not replaced.
            Transient, Misconfigured: refused, the part still stands there.
            Unknown: code "...:lost", it may have happened: ask `state`.
        """


class Direct(Door, Protocol):
    """A transport that hands a file over in one call, and whose partner knows a repeat by its key."""

    def place(self) -> str:
        """Return where files go, see `place_of`: nobody else knows a repeat by its key."""

    def send(self, name: str, content: bytes, idempotency_key: str) -> Receipt:
        """Hand a file over. idempotency_key: the SHA-256 of the content, in hex, so that the same bytes have the same.

        Raises:
            Unknown: it may have been taken: only the same content with the same key may be sent again.
        """


def placed_of(*, part: bool, final: bool) -> Placed:
    """Return where a file stands whose part and whose own name were looked for, in that order."""
    if part:
        return Placed.BOTH if final else Placed.PART
    return Placed.FINAL if final else Placed.NEITHER


def place_of(*address: object, behind: object = "") -> str:
    """Return a digest of where files are put. behind: what is at that address today, as a disk or a server's key."""
    where, what = (hashlib.sha256(repr(part).encode()).hexdigest() for part in (address, behind))
    return where[:ADDRESS_DIGITS] + what[ADDRESS_DIGITS:]


def proven(placed: Placed, *, here: str, at: str, elsewhere: IntegrationError) -> Placed:
    """Return what was seen `here` of a file whose part was put `at` a place; "": nobody knows where.

    At another address nothing is proven. Behind the same one may stand another disk or server: a part that is there is
    our part, and anything else raises `elsewhere`.
    """
    if not at or here == at:
        return placed
    if here[:ADDRESS_DIGITS] != at[:ADDRESS_DIGITS]:
        code = f"{elsewhere.code.partition(':')[0]}:moved"
        raise Permanent("put where the partner no longer is: only there is seen whether it was taken", code=code)
    if placed is not Placed.PART:
        raise elsewhere
    return placed


def is_name(name: str) -> bool:
    """Tell whether a file may have this name: no path, nothing hidden, nothing invisible."""
    return (
        bool(name.strip())
        and not name.startswith(".")
        and len(name.encode(errors="replace")) <= LONGEST_NAME
        and not any(sign in SEPARATORS or unicodedata.category(sign) in INVISIBLE for sign in name)
    )


def checked_name(name: str, *, partner: str) -> str:
    """Return `name`. Raises Permanent: no file may have it."""
    if not is_name(name):
        raise Permanent(f"a name of {len(name)} characters that no file may have", code=f"{partner}:name")
    return name


def part_name(name: str) -> str:
    """Return the hidden name under which a file is uploaded."""
    return f".{name}.part"
