"""Reads the tables of registries line by line, zipped or not; without it a file of gigabytes would fill memory."""

from __future__ import annotations

import csv
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from integrations.registries import RegistryFileError

Tell = Callable[[int, int], None]  # bytes read, of how many
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError)  # the last of places outside the file
STEP = 1024 * 1024  # bytes between two calls of Tell
LARGEST_CELL = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. cells: those of the columns that were asked for, without spaces around them."""

    line: int
    cells: Sequence[str]


def rows(path: Path, columns: Sequence[Sequence[str]], *, member: re.Pattern[str], tell: Tell) -> Iterator[Row]:
    """Yield the rows of a CSV, or of the one file in a .zip whose name fits `member`.

    columns: the names in the first line that are wanted, each with the other spellings it has had.

    Raises:
        RegistryFileError: a column is missing, a row has too few cells, or the file ends in the middle.
    """
    with _whole(), ExitStack() as opened:
        stream, size = _opened(path, member, opened)
        yield from _table(_lines(stream, size, tell), columns)


@contextmanager
def _whole() -> Iterator[None]:
    """Say in a sentence that a file is none we can read."""
    try:
        yield
    except RegistryFileError:
        raise
    except BROKEN as error:
        raise RegistryFileError("The archive is broken or not whole; load it down again.") from error
    except (NotImplementedError, RuntimeError) as error:
        raise RegistryFileError("The archive is packed in a way we cannot read; unpack it, give the CSV.") from error
    except csv.Error as error:
        raise RegistryFileError("The table ends in the middle of a line or is no CSV; load it down again.") from error


def name_of(path: Path, member: re.Pattern[str]) -> str:
    """Return the name of the table: of the file itself, or of the one inside an archive."""
    if not zipfile.is_zipfile(path):
        return path.name
    with _whole(), closing(zipfile.ZipFile(path)) as archive:
        return _entry(archive, member).filename.rpartition("/")[2]


def _opened(path: Path, member: re.Pattern[str], opened: ExitStack) -> tuple[IO[bytes], int]:
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        archive = opened.enter_context(zipfile.ZipFile(path))
        entry = _entry(archive, member)
        return opened.enter_context(archive.open(entry)), entry.file_size
    return opened.enter_context(path.open("rb")), path.stat().st_size


def _entry(archive: zipfile.ZipFile, member: re.Pattern[str]) -> zipfile.ZipInfo:
    fitting = [entry for entry in archive.infolist() if member.fullmatch(entry.filename.rpartition("/")[2])]
    if len(fitting) != 1:
        raise RegistryFileError(f"The archive holds {len(fitting)} files of the name we look for, not one.")
    return fitting[0]


def _lines(stream: IO[bytes], size: int, tell: Tell) -> Iterator[str]:
    """Yield the lines as text: UTF-8, and Windows' Latin where a line is not."""
    done = told = 0
    for line in stream:
        done += len(line)
        if done - told >= STEP:
            tell(done, size)
            told = done
        try:
            yield line.decode("utf-8-sig" if done == len(line) else "utf-8")
        except UnicodeDecodeError:
            yield line.decode("cp1252", errors="replace")
    tell(done, size)


def _table(lines: Iterator[str], columns: Sequence[Sequence[str]]) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(lines, strict=True)
    heading = [name.strip() for name in next(reader, [])]
    places = [_place(heading, names) for names in columns]
    width = len(heading)
    for cells in reader:
        if len(cells) != width:
            if not cells:
                continue
            told = f"Line {reader.line_num:,} has {len(cells)} columns and not {width}"
            raise RegistryFileError(f"{told}: the file is not whole, or it is another one.")
        yield Row(reader.line_num, [cells[place].strip() for place in places])


def _place(heading: Sequence[str], names: Sequence[str]) -> int:
    for name in names:
        if name in heading:
            return heading.index(name)
    raise RegistryFileError(f"There is no column {names[0]}: this is another file.")
