"""Writes the rows of one piece as NDJSON, with memory for a few thousand of them; the innermost loop of an export."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from typing import Any

import orjson
from django.conf import settings
from psycopg.adapt import Transformer

from backend.apps.core import closed_values
from backend.apps.core.keyring import CannotOpen
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources import BY_NAME
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportFile, ExportJob
from integrations.fhir import checking
from integrations.fhir.outcomes import issue
from integrations.fhir.resource import Resource
from workers.fhir import asking, files
from workers.fhir.files import SUFFIX, Finished, Ndjson
from workers.fhir.lookout import Lookout
from workers.fhir.snapshots import Reader

AT_ONCE, AT_ONCE_BYTES = 2000, 16 * 1024 * 1024  # of one fetch
CLOSING = timedelta(
    minutes=2
)  # until a file has gone to a storage elsewhere; our own disk takes no longer than a lease
DELETED_AT_ONCE = 500  # entries of one Bundle
SLACK = 100  # resources more than asked for in a file, where rows hold several: no file for the last three
Rows = list[tuple[str | None, ...]]
Kind = ExportFile.Kind


@dataclass(frozen=True, slots=True)
class Piece:
    """What one piece came to: its files with their kind and type, how many resources they hold, and about whom."""

    files: list[tuple[str, str, Finished]]
    count: int
    patients: set[str]


class Cut:
    """Lines of one kind, written into as many files as the limits ask for.

    hold: keeps what we hold for as long as it is told to, or for another lease.
    """

    def __init__(self, stem: str, kind: str, resource_type: str, hold: Callable[[timedelta | None], object]) -> None:
        self.kind, self.type = kind, resource_type
        self.done: list[Finished] = []
        self.count = 0
        self._stem, self._hold = f"{stem}-{kind}", hold
        self._open: Ndjson | None = None

    def add(self, lines: list[str], *, together: bool = False) -> None:
        """Write lines into the file that is open, or a new one where it is full. together: into the same as before."""
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        if self._open is not None and not together and self._full(self._open, len(data), len(lines)):
            self._end(self._open)
        if self._open is None:
            self._open = Ndjson(f"{self._stem}-{len(self.done)}{SUFFIX}")
        self._open.write(data, len(lines))
        self.count += len(lines)

    def end(self) -> list[tuple[str, str, Finished]]:
        if self._open is not None:
            self._end(self._open)
        return [(self.kind, self.type, one) for one in self.done]

    def discard(self) -> None:
        if self._open is not None:
            self._open.discard()
        files.remove([one.path for one in self.done])

    def _full(self, file: Ndjson, size: int, count: int) -> bool:
        bytes_over = file.size + size > settings.EXPORT_FILE_BYTES
        return bytes_over or file.count + count > settings.EXPORT_FILE_ROWS + SLACK

    def _end(self, file: Ndjson) -> None:
        self._hold(None if files.on_our_disk() else CLOSING)
        self.done.append(file.close())
        self._open = None
        self._hold(None)


@dataclass(frozen=True, slots=True)
class Task:
    """A piece to write: from the state that `reader` sees, while `look`, called before each fetch, does not raise."""

    chunk: ExportChunk
    job: ExportJob
    reader: Reader
    look: Lookout

    @property
    def stem(self) -> str:
        """How the paths of this lease begin: a worker that lost it overwrites nobody's files."""
        return f"{self.chunk.job_id}/{self.chunk.pk}-{self.chunk.lease_no}"


def write(task: Task) -> Piece:
    """Write the files of a piece; whatever goes wrong, none of them stays."""
    asked, source, told = Asked.from_json(task.job.parameters), BY_NAME[task.chunk.source], set[str]()
    problems = Cut(task.stem, Kind.ERROR, "OperationOutcome", task.look.now)
    if task.chunk.kind == ChunkKind.DELETED:
        output, blocks = Cut(task.stem, Kind.DELETED, "Bundle", task.look.now), _deletions(task, asked, source, told)
    else:
        output = Cut(task.stem, Kind.OUTPUT, source.type, task.look.now)
        blocks = _resources(task, asked, source, problems, told)
    with contextlib.ExitStack() as undo:
        undo.callback(output.discard)
        undo.callback(problems.discard)
        for lines in blocks:
            output.add(lines)
        written = [*output.end(), *problems.end()]
        undo.pop_all()
    return Piece(written, output.count, told)


def _resources(task: Task, asked: Asked, source: Source, problems: Cut, told: set[str]) -> Iterator[list[str]]:
    """Yield lines, and note in `told` about whom they are."""
    resource, given = selection.resource_of(asked, source), given_of(task.job)
    line, sample, place = resource.line(given), Sample(resource, given), _place_of_patient(source, resource)
    found = selection.within(task.job, asked, source, task.chunk.lower, task.chunk.upper)
    about = source.patient or source.named
    beside = [f"({about})::text"] if about and place is None else []
    sql = f"{source.select(resource, beside=beside)} WHERE {found} ORDER BY {source.order}"
    of_whom = itemgetter(-1 if place is None else place)
    for rows in fetched(task, sql, _at_once(task, source)):
        if beside or place is not None:
            told.update(filter(None, map(of_whom, rows)))
        shaped = opened(source, [row[:-1] for row in rows] if beside else rows, resource, problems)
        yield list(map(line, sample.without_faulty(shaped, problems)))
    if members := selection.members(task.job, asked, source, task.chunk.lower, task.chunk.upper):
        told.update(patient for rows in fetched(task, members, AT_ONCE) for (patient,) in rows if patient)


def _place_of_patient(source: Source, resource: Resource) -> int | None:
    """Return which of the resource's columns holds the patient's key; None where none does."""
    name = "id" if source.patient and source.patient == source.key else "patient"
    return resource.columns.index(name) if name in resource.columns else None


def _deletions(task: Task, asked: Asked, source: Source, told: set[str]) -> Iterator[list[str]]:
    """Yield Bundles of what was deleted, and note in `told` about whom that was."""
    gone = selection.deleted(task.job, asked, source)
    some = False
    for rows in fetched(task, gone, DELETED_AT_ONCE):
        some = True
        yield [_bundle(f"{source.type}/{fhir_id}" for (fhir_id,) in rows)]
    if some and source.patient:
        about = selection.patients_of(source, gone)
        told.update(patient for rows in fetched(task, about, AT_ONCE) for (patient,) in rows if patient)


def fetched(task: Task, sql: str, at_once: int, *, name: str = "rows") -> Iterator[Rows]:
    """Yield rows by the thousands."""
    reader, shape = task.reader, Transformer(task.reader)
    with reader.cursor(name=name) as cursor:
        cursor.execute(sql.encode())
        while True:
            found = asking.answer(reader, f'FETCH FORWARD {at_once} FROM "{name}"', task.look)
            if not found.ntuples:
                return
            shape.set_pgresult(found)
            yield shape.load_rows(0, found.ntuples, tuple)


def opened(source: Source, rows: Rows, resource: Resource, problems: Cut) -> Rows:
    """Return the rows with sealed columns opened; those with a value that does not open are told of instead."""
    closed = dict[int, CannotOpen]()
    found = source.opened(rows, resource, closed)
    if not closed:
        return found
    for error in closed.values():
        closed_values.tell(error)
    of_id = resource.columns.index("id")
    problems.add([
        outcome([issue("incomplete", f"{source.type}/{rows[at][of_id]} was left out: {closed_values.refusal(error)}")])
        for at, error in closed.items()
    ])  # fmt: skip
    return [row for at, row in enumerate(found) if at not in closed]


def given_of(job: ExportJob) -> dict[str, str]:
    return {"base": job.base_url, "mrn_system": settings.FHIR_MRN_SYSTEM}


def _at_once(task: Task, source: Source) -> int:
    """Return how many rows to fetch at once.

    Looked up in the source's own table alone: what else decides which rows go would cost a tenth of all.
    """
    between = selection.between(source, task.chunk.lower, task.chunk.upper)
    own = f"{source.model._meta.db_table} AS t"
    most = (min(AT_ONCE, settings.EXPORT_FILE_ROWS), AT_ONCE_BYTES)
    return rows_at_once(task, source, " AND ".join(["TRUE", *between]), most, tables=own)


def rows_at_once(task: Task, source: Source, found: str, most: tuple[int, int], *, tables: str = "") -> int:
    """Return how many rows to fetch at once, at most so many and so many bytes where single ones may be large."""
    rows, size = most
    if not source.wide:
        return rows
    largest = f"SELECT max({source.wide}) FROM {tables or source.tables} WHERE {found}"  # noqa: S608  # our own names only
    (widest,) = asking.first(task.reader, largest, task.look) or (0,)
    return max(1, min(rows, size // max(widest or 0, 1)))


class Sample:
    """Has one row in EXPORT_SAMPLE judged by fhir.resources, the first one of a piece always."""

    def __init__(self, resource: Resource, given: dict[str, str]) -> None:
        self._resource, self._given, self._seen = resource, given, 0

    def without_faulty(self, rows: Rows, problems: Cut) -> Rows:
        """Return the rows but for those that were judged and found wrong; these are told of among the problems."""
        every = settings.EXPORT_SAMPLE
        judged = range(-self._seen % every, len(rows), every) if every else ()
        self._seen += len(rows)
        wrong = {place: faults for place in judged if (faults := self._faults(rows[place]))}
        if not wrong:
            return rows
        problems.add([self._told(rows[place], faults) for place, faults in wrong.items()])
        return [row for place, row in enumerate(rows) if place not in wrong]

    def _faults(self, row: tuple[str | None, ...]) -> list[tuple[str, str]]:
        """Return what is wrong with the resource, or that its line is not what was judged."""
        built = self._resource.as_dict(row, self._given)
        meant = orjson.loads(orjson.dumps(built, default=float))
        return checking.faults(built) or ([] if self._said(row) == meant else [("id", "its line says something else")])

    def _said(self, row: tuple[str | None, ...]) -> Any:
        """Return what the line of a row says; None where it is no JSON."""
        try:
            return orjson.loads(self._resource.line(self._given)(row))
        except ValueError:
            return None

    def _told(self, row: tuple[str | None, ...], faults: list[tuple[str, str]]) -> str:
        name = f"{self._resource.type}/{row[self._resource.columns.index('id')]}"
        return outcome([
            {
                "severity": "error",
                "code": "structure",
                "diagnostics": f"{name} was left out: {kind}",
                "expression": [f"{self._resource.type}.{path}"],
            }
            for path, kind in faults
        ])  # fmt: skip


def outcome(issues: list[dict[str, Any]]) -> str:
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": issues}).decode()


def _bundle(gone: Iterator[str]) -> str:
    entries = [{"request": {"method": "DELETE", "url": url}} for url in gone]
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).decode()
