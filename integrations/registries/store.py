"""Keeps one edition of each registry as an index on disk; without it every look-up would read gigabytes again."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from integrations.registries import Edition, Registry, RegistryFileError, leie, nppes
from integrations.registries.files import Tell, name_of, rows

SOURCES: dict[str, ModuleType] = {leie.SOURCE: leie, nppes.SOURCE: nppes}
ANSWERS: dict[str, Any] = {leie.SOURCE: leie.Leie, nppes.SOURCE: nppes.Nppes}
AHEAD = timedelta(days=3)  # an edition may be of such a day to come; one of a later day would be a slip
FORM = 2  # of the index; one of another form counts as none
# Nobody reads the file before it is whole, and one that is not whole is made anew: no journal, no waiting for the disk.
FAST = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = FILE;"
ABOUT = "CREATE TABLE about (form INTEGER, source TEXT, published_on TEXT, entries INTEGER, loaded_at TEXT)"


def load(
    source: str,
    path: Path,
    folder: Path,
    *,
    day: date | None = None,
    anyway: bool = False,
    tell: Tell = lambda *_: None,
) -> Edition:
    """Make the index of a registry from its public file; the edition that is there stays until the new one is whole.

    day: of the edition, where the file does not say it or is wrong. anyway: also one that seems too small or too old.

    Raises:
        RegistryFileError: the file is of another shape, not whole, too small, too old, or of a day to come.
    """
    kind = SOURCES[source]
    day = kind.edition_of(name_of(path, kind.MEMBER)) if day is None else day
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f"{source}.lock"):
        part = folder / f"{source}.part"
        try:
            made = _written(source, path, part, day, tell)
            if not anyway:
                _refuse_unlikely(made, folder)
            _moved(part, folder / f"{source}.sqlite")
        except sqlite3.OperationalError as error:
            raise RegistryFileError(f"The index cannot be written: {error}.") from error
        finally:
            part.unlink(missing_ok=True)
    return made


@contextmanager
def opened(source: str, folder: Path) -> Iterator[Registry | None]:
    """Open the edition that is loaded; None when there is none we can read."""
    path = folder / f"{source}.sqlite"
    if not path.is_file():
        yield None
        return
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as index:
        edition = _edition(index)
        yield None if edition is None else ANSWERS[source](index, edition)


def edition(source: str, folder: Path) -> Edition | None:
    """Return which edition is loaded."""
    with opened(source, folder) as registry:
        return registry.edition if registry else None


def _written(source: str, path: Path, part: Path, day: date | None, tell: Tell) -> Edition:
    part.unlink(missing_ok=True)
    kind = SOURCES[source]
    with closing(sqlite3.connect(part)) as index:
        index.executescript(FAST + kind.TABLES)
        with index:
            count, last = kind.write(index, rows(path, kind.COLUMNS, member=kind.MEMBER, tell=tell))
        day, now = day or last, datetime.now(UTC)
        if not count or day is None:
            raise RegistryFileError("Nobody can tell of which day this file is: name it by --edition.")
        if day > now.date() + AHEAD:
            raise RegistryFileError(f"The file seems to be of {day}, a day to come: name the right one by --edition.")
        index.executescript(kind.INDEXES + ABOUT)
        with index:
            about = (FORM, source, day.isoformat(), count, now.isoformat())
            index.execute("INSERT INTO about VALUES (?, ?, ?, ?, ?)", about)
    return Edition(source, day, count, now)


def _refuse_unlikely(new: Edition, folder: Path) -> None:
    fewest = SOURCES[new.source].FEWEST
    if new.rows < fewest:
        told = f"The file has {new.rows:,} rows, and the whole registry has more than {fewest:,}"
        raise RegistryFileError(f"{told}: is it an update of a few days? --anyway takes it.")
    before = edition(new.source, folder)
    if before and before.published_on > new.published_on:
        raise RegistryFileError(f"A later edition is loaded, {before.name}. --anyway goes back to this one.")


def _edition(index: sqlite3.Connection) -> Edition | None:
    try:
        (form,) = index.execute("SELECT form FROM about").fetchone()
        if form != FORM:
            return None
        source, day, count, at = index.execute("SELECT source, published_on, entries, loaded_at FROM about").fetchone()
    except (sqlite3.DatabaseError, TypeError):
        return None
    return Edition(source, date.fromisoformat(day), count, datetime.fromisoformat(at))


def _moved(part: Path, path: Path) -> None:
    """Put the index in place of the one before, in one step and for good."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RegistryFileError("Somebody is loading this registry at this moment.") from error
        yield
