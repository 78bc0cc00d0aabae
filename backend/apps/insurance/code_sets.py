"""Keeps editions of code lists and says what was valid on a day; without it last year's codes would go out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import code_files
from backend.apps.insurance.models import Code, CodeSet

COLUMNS = "code_set_id, code, valid_from, valid_to, text, facts"
EVER = ("00000101", "99991231")
Tell = Callable[[int], None]


class Known(NamedTuple):
    """One code: first and last day as YYYYMMDD, and the facts of its file."""

    first: str = EVER[0]
    last: str = EVER[1]
    facts: Mapping[str, Any] = {}


class Edition(NamedTuple):
    """One edition. telling: the codes of which the file says more than their days."""

    first: str
    last: str
    codes: Mapping[str, Known]
    telling: Mapping[str, Known]


class CodeBook:
    """The editions of each kind, by day. Of a kind or day without an edition nothing is known, and all may be valid."""

    def __init__(self, editions: Mapping[str, list[Edition]]) -> None:
        self._editions = editions
        self._on: dict[tuple[str, str], Mapping[str, Known] | None] = {}

    def on(self, kind: str, day: str) -> Mapping[str, Known] | None:
        """Return the codes of the latest edition that begins by `day` (YYYYMMDD), None where there is none."""
        key = kind, day
        if key not in self._on:
            fitting = (one for one in self._editions.get(kind, ()) if one.first <= day <= one.last)
            edition = max(fitting, key=lambda one: one.first, default=None)
            self._on[key] = None if edition is None else edition.codes
        return self._on[key]

    def has(self, kind: str) -> bool:
        return bool(self._editions.get(kind))

    def holds(self, kind: str, code: str) -> bool:
        """Return whether any edition holds the code, on whatever day."""
        return any(code in one.codes for one in self._editions.get(kind, ()))

    def is_valid(self, kind: str, code: str, day: str) -> bool:
        """Return False only where an edition of the day is loaded and does not hold the code on it."""
        codes = self.on(kind, day)
        if codes is None:
            return True
        known = codes.get(code)
        return known is not None and known.first <= day <= known.last

    def fact(self, kind: str, code: str, day: str, name: str) -> Any:
        """Return what the edition of the day says of a code, None where it says nothing."""
        known = (self.on(kind, day) or {}).get(code)
        return None if known is None else known.facts.get(name)

    def told(self, kind: str, codes: Iterable[str], *names: str) -> set[str]:
        """Return those of `codes` of which any edition says one of `names`."""
        editions = [one.telling for one in self._editions.get(kind, ()) if one.telling]
        return {
            code
            for code in (codes if editions else ())
            if any(name in one[code].facts for one in editions if code in one for name in names)
        }


def book() -> CodeBook:
    """Return all editions; each is read from the database once in the life of a process."""
    editions: dict[str, list[Edition]] = {}
    for pk, kind, first, last in CodeSet.objects.values_list("pk", "kind", "valid_from", "valid_to"):
        codes = _codes(pk)
        editions.setdefault(kind, []).append(edition(_text(first, EVER[0]), _text(last, EVER[1]), codes))
    return CodeBook(editions)


def edition(first: str, last: str, codes: Mapping[str, Known]) -> Edition:
    return Edition(first, last, codes, {code: known for code, known in codes.items() if known.facts})


@lru_cache(maxsize=32)
def _codes(code_set: UUID) -> Mapping[str, Known]:
    """Return the codes of an edition, which never changes once it is there and may be kept."""
    plain = Known()
    rows = Code.objects.filter(code_set=code_set).values_list("code", "valid_from", "valid_to", "facts")
    return {
        code: Known(_text(first, EVER[0]), _text(last, EVER[1]), facts) if first or last or facts else plain
        for code, first, last, facts in rows.iterator(chunk_size=10_000)
    }


def _text(day: date | None, otherwise: str) -> str:
    return f"{day:%Y%m%d}" if day else otherwise


class Texts:
    """What the clinic's own lists say that codes mean; asks once for each kind, however many codes are told of."""

    def __init__(self) -> None:
        self._of: dict[str, Mapping[str, str]] = {}

    def of(self, kind: str, code: str) -> str:
        """Return the text of the latest edition, "" where no list of the kind is loaded or it lacks the code."""
        if not code:
            return ""
        if kind not in self._of:
            latest = CodeSet.objects.filter(kind=kind).order_by("-valid_from").values_list("pk", flat=True).first()
            self._of[kind] = _texts(latest) if latest else {}
        return self._of[kind].get(code, "")


def text(kind: str, code: str) -> str:
    return Texts().of(kind, code)


@lru_cache(maxsize=8)
def _texts(code_set: UUID) -> Mapping[str, str]:
    return dict(Code.objects.filter(code_set=code_set).values_list("code", "text"))


def valid_on(kind: str, code: str, day: date) -> bool:
    return book().is_valid(kind, code, f"{day:%Y%m%d}")


@transaction.atomic
def load(
    kind: str,
    path: Path,
    *,
    version: str,
    valid_from: date,
    tell: Tell = lambda _: None,
    leave_out: Tell = lambda _: None,
) -> tuple[CodeSet, bool]:
    """Load an edition from a file, whole or not at all; return it and whether it is new.

    The same file under the same version is the edition that is there. tell: is told of bytes read, as they are;
    leave_out: of the numbers of lines in a form nobody knows, which a list may have few of.

    Raises:
        CodeFileError: the file is not of this kind.
        DomainError: another file was loaded under this version, or another edition begins on this day.
    """
    sha256 = _digest(path)
    made, is_new = CodeSet.objects.get_or_create(
        kind=kind, version=version, defaults={"valid_from": valid_from, "sha256": sha256}
    )
    if not is_new:
        if made.sha256 != sha256:
            raise DomainError("Another file was loaded under this version; give this one a version of its own.")
        return made, False
    if CodeSet.objects.filter(kind=kind, valid_from=valid_from).exclude(pk=made.pk).exists():
        raise DomainError("Another edition begins on this day already; say with --from on which day this one begins.")
    with path.open(encoding="utf-8", errors="replace", newline="") as lines:
        if not _copy(made, code_files.read(kind, _told(lines, tell), leave_out)):
            raise code_files.CodeFileError("There is no code in this file.")
    return made, True


@transaction.atomic
def remove(kind: str, version: str) -> int:
    """Take a wrong edition back; what it was loaded for is held against the others again. Returns how many codes.

    Raises:
        DomainError: there is no such edition.
    """
    edition = CodeSet.objects.select_for_update().filter(kind=kind, version=version).first()
    if edition is None:
        raise DomainError("There is no such edition; `codes list` names those that are loaded.")
    count, _ = Code.objects.filter(code_set=edition).delete()
    edition.delete()
    return count


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _told(lines: Iterable[str], tell: Tell) -> Iterator[str]:
    for line in lines:
        tell(len(line))
        yield line


def _copy(code_set: CodeSet, rows: Iterable[code_files.CodeRow]) -> int:
    count = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {Code._meta.db_table} ({COLUMNS}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row((code_set.pk, row.code, row.valid_from, row.valid_to, row.text, json.dumps(dict(row.facts))))
            count += 1
    return count
