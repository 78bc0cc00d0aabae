"""Writes the rows of one piece as NDJSON, with memory for a few thousand of them; the innermost loop of an export."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from psycopg import OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources import BY_NAME
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportFile, ExportJob
from integrations.fhir import checking
from integrations.fhir.resource import Resource
from workers.fhir import files
from workers.fhir.files import SUFFIX, Finished, Ndjson
from workers.fhir.snapshots import Reader

AT_ONCE, AT_ONCE_BYTES = 2000, 16 * 1024 * 1024  # of one fetch
DELETED_AT_ONCE = 500  # entries of one Bundle
SLACK = 100  # resources more than asked for in a file, where rows hold several: no file for the last three
Rows = list[tuple[str | None, ...]]
Kind = ExportFile.Kind


@dataclass(frozen=True, slots=True)
class Piece:
    """What one piece came to: its files with their kind and type, and how many resources they hold."""

    files: list[tuple[str, str, Finished]]
    count: int


class Cut:
    """Lines of one kind, written into as many files as the limits ask for."""

    def __init__(self, stem: str, kind: str, resource_type: str) -> None:
        self.kind, self.type = kind, resource_type
        self.done: list[Finished] = []
        self.count = 0
        self._stem = f"{stem}-{kind}"
        self._open: Ndjson | None = None

    def add(self, lines: list[str]) -> None:
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        if self._open is not None and self._full(self._open, len(data), len(lines)):
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
        self.done.append(file.close())
        self._open = None


@dataclass(frozen=True, slots=True)
class Task:
    """A piece to write: from the state that `reader` sees, while `look`, called before each fetch, does not raise."""

    chunk: ExportChunk
    job: ExportJob
    reader: Reader
    look: Callable[[], None]

    @property
    def stem(self) -> str:
        """How the paths of this lease begin: a worker that lost it overwrites nobody's files."""
        return f"{self.chunk.job_id}/{self.chunk.pk}-{self.chunk.lease_no}"


def write(task: Task) -> Piece:
    """Write the files of a piece; whatever goes wrong, none of them stays."""
    asked, source = Asked.from_json(task.job.parameters), BY_NAME[task.chunk.source]
    problems = Cut(task.stem, Kind.ERROR, "OperationOutcome")
    if task.chunk.kind == ChunkKind.DELETED:
        output, blocks = Cut(task.stem, Kind.DELETED, "Bundle"), _deletions(task, asked, source)
    else:
        output, blocks = Cut(task.stem, Kind.OUTPUT, source.type), _resources(task, asked, source, problems)
    with contextlib.ExitStack() as undo:
        undo.callback(output.discard)
        undo.callback(problems.discard)
        for lines in blocks:
            output.add(lines)
        written = [*output.end(), *problems.end()]
        undo.pop_all()
    return Piece(written, output.count)


def _resources(task: Task, asked: Asked, source: Source, problems: Cut) -> Iterator[list[str]]:
    resource, given = selection.resource_of(asked, source), given_of(task.job)
    line, sample = resource.line(given), Sample(resource, given)
    found = selection.within(task.job, asked, source, task.chunk.lower, task.chunk.upper)
    sql = f"{source.select(resource)} WHERE {found} ORDER BY {source.order}"
    for rows in fetched(task, sql, _at_once(task, source)):
        yield list(map(line, sample.without_faulty(rows, problems)))


def _deletions(task: Task, asked: Asked, source: Source) -> Iterator[list[str]]:
    for rows in fetched(task, selection.deleted(task.job, asked, source), DELETED_AT_ONCE):
        yield [_bundle(f"{source.type}/{fhir_id}" for (fhir_id,) in rows)]


def fetched(task: Task, sql: str, at_once: int, *, name: str = "rows") -> Iterator[Rows]:
    """Yield rows by the thousands. libpq itself fetches: the driver's way to wait costs half as much again."""
    reader, shape = task.reader, Transformer(task.reader)
    with reader.cursor(name=name) as cursor:
        cursor.execute(sql.encode())
        while True:
            task.look()
            found = reader.pgconn.exec_(f'FETCH FORWARD {at_once} FROM "{name}"'.encode())
            if found.status != ExecStatus.TUPLES_OK:
                raise OperationalError("lost") if reader.broken else error_from_result(found)
            if not found.ntuples:
                return
            shape.set_pgresult(found)
            yield shape.load_rows(0, found.ntuples, tuple)


def given_of(job: ExportJob) -> dict[str, str]:
    return {"base": job.base_url, "mrn_system": settings.FHIR_MRN_SYSTEM}


def _at_once(task: Task, source: Source) -> int:
    """Return how many rows to fetch at once, so that they fit into AT_ONCE_BYTES where single ones may be large.

    Looked up in the source's own table alone: what else decides which rows go would cost a tenth of all.
    """
    most = min(AT_ONCE, settings.EXPORT_FILE_ROWS)
    if not source.wide:
        return most
    between = selection.between(source, task.chunk.lower, task.chunk.upper)
    table = source.model._meta.db_table
    largest = f"SELECT max({source.wide}) FROM {table} AS t WHERE {' AND '.join(['TRUE', *between])}"  # noqa: S608  # ours
    (size,) = task.reader.execute(largest.encode()).fetchone() or (0,)
    return max(1, min(most, AT_ONCE_BYTES // max(size or 0, 1)))


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
        return checking.faults(self._resource.as_dict(row, self._given))

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
