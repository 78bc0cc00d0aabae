"""The registry of all NPIs; without it a wrong or closed number would be noticed by the first payer that refuses it.

Source: CMS, "NPPES Data Dissemination - Readme": the full replacement monthly NPI file, columns by the names of its
first line; dates MM/DD/YYYY; a deactivated NPI has its number and the day of deactivation and nothing else.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from integrations.registries import Edition, Finding, Licence, Person, RegistryFileError, Verdict
from integrations.registries.files import Row
from integrations.registries.names import first_key, last_keys, same_number

SOURCE = "nppes"
FEWEST = 5_000_000  # the registry has more than 8 million numbers; a weekly update has tens of thousands
MEMBER = re.compile(r"npidata_pfile_\d{8}-\d{8}\.csv", re.IGNORECASE)
FROM_TO = re.compile(r"npidata_pfile_(\d{8})-(\d{8})", re.IGNORECASE)
BEGINNING = "20050523"  # of the whole file; that of an update is the first day of its week
LICENCES = 15
NAMES = (
    ("NPI",), ("Entity Type Code",), ("Provider Last Name (Legal Name)",), ("Provider First Name",),
    ("Provider Other Last Name",), ("Provider Other First Name",), ("NPI Deactivation Date",),
    ("NPI Reactivation Date",),
)  # fmt: skip
COLUMNS = (
    *NAMES,
    *((f"Provider License Number_{place}",) for place in range(1, LICENCES + 1)),
    *((f"Provider License Number State Code_{place}",) for place in range(1, LICENCES + 1)),
)
INDIVIDUAL = "1"
DIGITS = 16  # of a digest
TABLES = """
CREATE TABLE entry (npi INTEGER PRIMARY KEY, line INTEGER, kind TEXT, last TEXT, first TEXT, other_last TEXT,
                    other_first TEXT, deactivated INTEGER, licences TEXT);
"""
INDEXES = ""
INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def write(index: sqlite3.Connection, rows: Iterable[Row]) -> tuple[int, date | None]:
    """Fill the index; return how many rows there were, and None: the name of the file tells its edition."""
    try:
        return index.executemany(INSERT, map(_stored, rows)).rowcount, None
    except sqlite3.IntegrityError as error:
        raise RegistryFileError("A number stands there twice: this is another file.") from error


def edition_of(name: str) -> date | None:
    """Return the last day of a file called npidata_pfile_20050523-20261108.csv; None when it has another name.

    Raises:
        RegistryFileError: it is an update of some days, in which most numbers would seem to be missing.
    """
    found = FROM_TO.match(name)
    if found is None:
        return None
    if found.group(1) != BEGINNING:
        raise RegistryFileError("This is the update of a week; load the full file of the month.")
    return _day(found.group(2), "%Y%m%d")


@dataclass(frozen=True, slots=True)
class Nppes:
    """Looks people up in one edition."""

    index: sqlite3.Connection
    edition: Edition

    def look_up(self, person: Person) -> Finding:
        """Say whether the person's NPI is theirs and open: by name, and by licence where the registry has any.

        Licences there are told by the holders themselves: what is missing altogether is no difference.
        """
        npi = person.npi if person.npi.isdigit() else "0"
        stored = self.index.execute("SELECT * FROM entry WHERE npi = ?", (int(npi),)).fetchone()
        if stored is None:
            return Finding(Verdict.NOT_FOUND)
        _, line, kind, last, first, other_last, other_first, deactivated, licences = stored
        if deactivated:
            return Finding(Verdict.DEACTIVATED, "npi", (line,))
        listed = _read(licences)
        differs = (
            *(["entity_type"] if kind != INDIVIDUAL else []),
            *_names_differ(person, {last, other_last}, {first, other_first}),
            *_licences_differ(person, listed),
        )
        there = tuple(held for held in person.licences if _stands_there(held, listed))
        if not differs:
            return Finding(Verdict.CLEAR, "npi", (line,), licences=there)
        return Finding(Verdict.DIFFERS, "npi", (line,), (_digest(stored[2:], person),), differs, licences=there)


def _names_differ(person: Person, last_names: set[str], first_names: set[str]) -> Iterator[str]:
    if not set(last_keys(person.last_name)) & {key for name in last_names for key in last_keys(name)}:
        yield "last_name"
    if first_key(person.first_name) not in {first_key(name) for name in first_names if name}:
        yield "first_name"


def _licences_differ(person: Person, listed: Sequence[Licence]) -> Iterator[str]:
    if not listed:
        return
    for held in person.licences:
        if not any(licence.state == held.state for licence in listed):
            yield "license_state"
            return
        if not _stands_there(held, listed):
            yield "license_number"
            return


def _stands_there(held: Licence, listed: Sequence[Licence]) -> bool:
    return any(one.state == held.state and same_number(one.number, held.number) for one in listed)


def _stored(row: Row) -> tuple[object, ...]:
    npi, kind, last, first, other_last, other_first, deactivated, reactivated = row.cells[: len(NAMES)]
    if not (npi.isdigit() and len(npi) == len("1234567893")):
        raise RegistryFileError(f"Line {row.line:,} has no NPI of ten digits: this is another file.")
    numbers, states = row.cells[len(NAMES) :][:LICENCES], row.cells[len(NAMES) :][LICENCES:]
    licences = "\n".join(
        f"{state}\t{number}" for number, state in zip(numbers, states, strict=True) if number and state
    )
    closed = bool(deactivated) and not _reopened(deactivated, reactivated)
    return int(npi), row.line, kind, last, first, other_last, other_first, closed, licences


def _reopened(deactivated: str, reactivated: str) -> bool:
    closed_on, opened_on = _day(deactivated, "%m/%d/%Y"), _day(reactivated, "%m/%d/%Y")
    return opened_on is not None and (closed_on is None or opened_on >= closed_on)


def _read(licences: str) -> list[Licence]:
    return [Licence(*line.split("\t", 1)) for line in licences.split("\n") if line]


def _digest(stored: Sequence[object], person: Person) -> str:
    """Return by what the same difference is known again: the same entry, compared with the same person's data."""
    held = [(licence.state, licence.number) for licence in person.licences]
    told = repr((*stored, person.last_name, person.first_name, held))
    return hashlib.sha256(told.encode()).hexdigest()[:DIGITS]


def _day(text: str, form: str) -> date | None:
    try:
        return datetime.strptime(text, form).date()  # noqa: DTZ007  # a day has no zone
    except ValueError:
        return None
