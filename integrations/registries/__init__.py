"""The port for public registries: who is looked up and what is found; else each registry would use its own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol


class RegistryFileError(ValueError):
    """A file is not what it is said to be; the text is a sentence and never repeats a line of the file."""


class Verdict(StrEnum):
    CLEAR = "clear"
    DIFFERS = "differs"
    NOT_FOUND = "not_found"
    DEACTIVATED = "deactivated"
    PERHAPS_EXCLUDED = "perhaps_excluded"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True)
class Licence:
    """state: two letters."""

    state: str
    number: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to look up. npi, born_on: empty where nobody knows; licences: those of states, with their numbers."""

    last_name: str = field(repr=False)
    first_name: str = field(repr=False)
    npi: str = ""
    born_on: date | None = field(default=None, repr=False)
    licences: tuple[Licence, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What an edition of a registry says of a person, without what stands there.

    by: what they were found by ("npi", "name and birth date", "name"). lines: of the file. entries: digests of what was
        compared, by which the same entry is known again in the next edition. differs: "last_name", "license_number".
    excluded_on: the first day of an exclusion, None where nobody knows; waived_in: the state that still lets them work.
    licences: those of the person that stand there too.
    """

    verdict: Verdict
    by: str = ""
    lines: tuple[int, ...] = ()
    entries: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    excluded_on: date | None = None
    waived_in: str = ""
    licences: tuple[Licence, ...] = ()


@dataclass(frozen=True, slots=True)
class Edition:
    """Which file this is. name: its day, "2026-11-08". loaded_at: in UTC; what was loaded last counts."""

    source: str
    published_on: date
    rows: int
    loaded_at: datetime

    @property
    def name(self) -> str:
        return self.published_on.isoformat()


class Registry(Protocol):
    @property
    def edition(self) -> Edition:
        """Return which edition answers."""

    def look_up(self, person: Person) -> Finding:
        """Return what this edition says of the person."""
