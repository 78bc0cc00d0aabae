"""The list of whom federal health programmes do not pay for; without it an excluded person would bill.

Source: HHS OIG, LEIE downloadable database "UPDATED.csv" and its record layout: last names are cut to 20 characters,
first names to 15; dates YYYYMMDD, 00000000 for none; NPI 0000000000 for none. The whole list comes once a month.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from integrations.registries import Edition, Finding, Person, Verdict
from integrations.registries.files import Row
from integrations.registries.names import first_key, last_keys

SOURCE = "leie"
FEWEST = 50_000  # the list has some 80,000 rows; a supplement of one month has hundreds, and the same columns
MEMBER = re.compile(r".+\.csv", re.IGNORECASE)
COLUMNS = (
    ("LASTNAME",), ("FIRSTNAME",), ("NPI",), ("DOB",), ("EXCLDATE",), ("REINDATE",), ("WVRSTATE", "WAIVERSTATE"),
)  # fmt: skip
LAST_WIDTH, FIRST_WIDTH = 20, 15
BY_NAME = "name"
DIGITS = 16  # of a digest
TABLES = """
CREATE TABLE entry (line INTEGER PRIMARY KEY, npi TEXT, born_on TEXT, excluded_on TEXT, reinstated INTEGER,
                    waived_in TEXT, digest TEXT);
CREATE TABLE name (last TEXT, first TEXT, line INTEGER);
"""
INDEXES = """
CREATE INDEX entry_npi ON entry (npi) WHERE npi <> '';
CREATE INDEX name_of ON name (last, first);
"""
BY_NPI = "SELECT line FROM entry WHERE npi = ? AND npi <> ''"  # in the words of the index, else it is not used
WANTED = "SELECT line, npi, born_on, excluded_on, waived_in, digest FROM entry WHERE line = ? AND NOT reinstated"


@dataclass(frozen=True, slots=True)
class Entry:
    """One exclusion. What cannot be read is empty: such a person is only perhaps another one."""

    line: int
    last_name: str = field(repr=False)
    first_name: str = field(repr=False)
    npi: str
    born_on: date | None = field(repr=False)
    excluded_on: date | None
    reinstated_on: date | None
    waived_in: str

    @property
    def digest(self) -> str:
        """By what the entry is known again in the next edition, where it stands in another line."""
        told = (self.last_name, self.first_name, self.npi, self.born_on, self.excluded_on)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:DIGITS]


def entry(row: Row) -> Entry:
    last, first, npi, born, excluded, reinstated, waived_in = row.cells
    known = npi if len(npi) == len("1234567893") and npi.strip("0") else ""
    return Entry(row.line, last, first, known, _day(born), _day(excluded), _day(reinstated), waived_in)


def write(index: sqlite3.Connection, rows: Iterable[Row]) -> tuple[int, date | None]:
    """Fill the index; return how many rows there were and the last day of an exclusion, by which editions are known."""
    count, last = 0, None
    for row in rows:
        found = entry(row)
        count += 1
        last = max(filter(None, (last, found.excluded_on)), default=None)
        index.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)", _stored(found))
        index.executemany("INSERT INTO name VALUES (?, ?, ?)", _names(found))
    return count, last


def edition_of(name: str) -> date | None:
    """Return None: the file is called the same every month, and its last exclusion tells which one it is."""
    return None


class Stored(NamedTuple):
    """What the index keeps of an entry; days as texts, empty for none."""

    line: int
    npi: str
    born_on: str
    excluded_on: str
    waived_in: str
    digest: str


@dataclass(frozen=True, slots=True)
class Leie:
    """Looks people up in one edition."""

    index: sqlite3.Connection
    edition: Edition

    def look_up(self, person: Person) -> Finding:
        """Say whether the person is excluded: certain by the NPI, or by name and date of birth.

        Somebody of the same name born on another day is another person; where a day is not known, perhaps the same.
        """
        found = [(_same(person, stored), stored) for stored in self._candidates(person)]
        certain = [(by, stored) for by, stored in found if by not in {"", BY_NAME}]
        perhaps = [(by, stored) for by, stored in found if by == BY_NAME]
        if certain:
            return _finding(Verdict.EXCLUDED, certain)
        return _finding(Verdict.PERHAPS_EXCLUDED, perhaps) if perhaps else Finding(Verdict.CLEAR)

    def _candidates(self, person: Person) -> Iterator[Stored]:
        first = first_key(person.first_name, FIRST_WIDTH)
        lines = {
            line
            for last in last_keys(person.last_name, LAST_WIDTH)
            for (line,) in self.index.execute("SELECT line FROM name WHERE last = ? AND first = ?", (last, first))
        }
        if person.npi:
            lines |= {line for (line,) in self.index.execute(BY_NPI, (person.npi,))}
        for line in sorted(lines):
            yield from (Stored(*found) for found in self.index.execute(WANTED, (line,)))


def _same(person: Person, stored: Stored) -> str:
    """Return by what an entry of this name or NPI is the person's: BY_NAME for perhaps, "" when it is not."""
    if stored.npi and stored.npi == person.npi:
        return "npi"
    if not (stored.born_on and person.born_on):
        return BY_NAME
    return "name and birth date" if stored.born_on == person.born_on.isoformat() else ""


def _finding(verdict: Verdict, found: list[tuple[str, Stored]]) -> Finding:
    stored = [one for _, one in found]
    return Finding(
        verdict,
        by=found[0][0],
        lines=tuple(one.line for one in stored),
        entries=tuple(one.digest for one in stored),
        excluded_on=min((date.fromisoformat(one.excluded_on) for one in stored if one.excluded_on), default=None),
        waived_in=next((one.waived_in for one in stored if one.waived_in), ""),
    )


def _stored(found: Entry) -> tuple[object, ...]:
    days = [day.isoformat() if day else "" for day in (found.born_on, found.excluded_on)]
    return found.line, found.npi, *days, found.reinstated_on is not None, found.waived_in, found.digest


def _names(found: Entry) -> Iterator[tuple[str, str, int]]:
    first = first_key(found.first_name, FIRST_WIDTH)
    for last in last_keys(found.last_name, LAST_WIDTH):
        yield last, first, found.line


def _day(text: str) -> date | None:
    if len(text) != len("YYYYMMDD") or not text.isdigit() or not text.strip("0"):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
