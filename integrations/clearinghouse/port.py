"""The port for files to and from a clearinghouse: what every transport takes, returns and raises."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from integrations.errors import Permanent

LONGEST_NAME = 200  # bytes; file systems end at 255, and the name of a part is longer
SEPARATORS = frozenset("/\\")
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # Unicode categories: control, format, surrogate, line ends


class Placed(StrEnum):
    """Where a file of ours stands at the partner."""

    PART = "part"  # uploaded under its hidden name: the partner does not take it yet
    FINAL = "final"  # under its own name, also when a part was left beside it
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
    `state`: PART is renamed, everything else has been sent. Only the caller's own rename removes a part.
    """

    def put_part(self, name: str, content: bytes) -> None:
        """Upload under the hidden name, over what an earlier try left, and check the size. Repeatable.

        Raises:
            Transient, Misconfigured: no file of ours is to be seen by the partner.
        """

    def state(self, name: str) -> Placed:
        """Tell where a file of ours stands."""

    def rename(self, name: str) -> None:
        """Give the part its own name in one step.

        Raises:
            Permanent: code "...:exists", the partner has a file of that name, which is not replaced.
            Transient, Misconfigured: refused, the part still stands there.
            Unknown: code "...:lost", it may have happened: ask `state`.
        """


class Direct(Door, Protocol):
    """A transport that hands a file over in one call, and whose partner knows a repeat by its key."""

    def send(self, name: str, content: bytes, idempotency_key: str) -> Receipt:
        """Hand a file over. idempotency_key: the SHA-256 of the content, in hex, so that the same bytes have the same.

        Raises:
            Unknown: it may have been taken: only the same content with the same key may be sent again.
        """


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
