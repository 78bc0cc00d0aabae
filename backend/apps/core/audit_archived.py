"""Holds the files of months taken off to the seals; else who has the key could say of any row that it was taken off."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import UUID

from backend.apps.core import audit_files, merkle
from backend.apps.core.models import AuditSeal

AT_ONCE = 50  # seals
ID, XID = 0, -1  # columns of a row
Tell = Callable[[str], None]


@dataclass(slots=True)
class File:
    """A file beside the seals. adopted: leaves of it that a person took in after a restore, not yet met.

    strays: how many of its rows are none of those it is said to hold; stray: the first of them.
    """

    path: Path
    find: Tell
    adopted: Counter[bytes]
    strays: int = 0
    stray: bytes = b""

    def meet(self, leaf: bytes, wanted: Counter[bytes]) -> None:
        for each in (wanted, self.adopted):
            if each[leaf]:
                each[leaf] -= 1
                return
        self.strays, self.stray = self.strays + 1, self.stray or leaf

    def tell_missing(self, wanted: Counter[bytes], where: str) -> None:
        if left := +wanted:
            first = UUID(bytes=next(iter(left))[: merkle.KEY])
            self.find(f"{self.path} lacks rows {where} it is said to hold ({left.total():,}), the first {first}.")

    def tell_strays(self) -> None:
        if self.strays:
            first = UUID(bytes=self.stray[: merkle.KEY])
            self.find(f"{self.path} holds rows that were not sealed, or not as it has them ({self.strays:,}): {first}.")


def verify(folder: Path, find: Tell) -> Iterator[str]:
    """Verify every file there is said to be and hold its rows to the seals; yield of each what it is.

    find: told each fault. A file holds exactly those rows which the log would miss without it.
    """
    before = audit_files.Taken()
    for said in audit_files.said_of_all(find):
        path = folder / str(said["file_name"])
        try:
            content = audit_files.read(path)
            if content.file_sha256.hex() != said["file_sha256"]:
                find(f"{path} is not the file that was written when its month was taken off.")
            _compare(path, said, before, find)
            yield f"{path.name}: {content.rows:,} rows"
        except OSError as error:
            find(f"{path} cannot be read ({error.strerror}): put it back from where it is kept.")
        except audit_files.BadFile as error:
            find(f"{path}: {error}")
        before.add(said)


def _compare(path: Path, said: dict[str, Any], before: audit_files.Taken, find: Tell) -> None:
    """Go through file and seals side by side: both are in the order of transactions, but for rows that were adopted."""
    file = File(path, find, Counter())
    for _, leaves in _taken(said, before, AuditSeal.Kind.ADOPTED):
        file.adopted.update(leaves)
    rows = _rows(path)
    ahead = next(rows, None)
    for seal, leaves in _taken(said, before, AuditSeal.Kind.SEALED):
        wanted = Counter(leaves)
        while ahead is not None and ahead[0] < seal.to_xid:
            file.meet(ahead[1], wanted)
            ahead = next(rows, None)
        file.tell_missing(wanted, f"of seal {seal.n}")
    while ahead is not None:
        file.meet(ahead[1], Counter())
        ahead = next(rows, None)
    file.tell_missing(file.adopted, "adopted after a restore")
    file.tell_strays()


def _taken(
    said: dict[str, Any], before: audit_files.Taken, kind: AuditSeal.Kind
) -> Iterator[tuple[AuditSeal, Iterator[bytes]]]:
    """Yield the seals of this kind, in their order, and which of their leaves the file is said to hold."""
    spans: list[tuple[int, int, set[bytes] | None]] = [(first, last, None) for first, last in said["whole"]]
    spans += [(int(n), int(n), {UUID(key).bytes for key in keys}) for n, keys in said["parts"].items()]
    for first, last, keys in sorted(spans, key=itemgetter(0)):
        seals = AuditSeal.objects.filter(kind=kind, n__gte=first, n__lte=last).order_by("n")
        for seal in seals.iterator(chunk_size=AT_ONCE):
            leaves = merkle.split(before.rest(seal.n, seal.leaves))
            yield seal, (leaf for leaf in leaves if keys is None or leaf[: merkle.KEY] in keys)


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield of each row of a verified file its transaction and its leaf."""
    with gzip.open(path, "rb") as file:
        for data in file:
            row = json.loads(data)
            if isinstance(row, list):
                yield row[XID], UUID(row[ID]).bytes + sha256(data.rstrip(b"\n")).digest()
