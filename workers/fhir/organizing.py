"""Writes files organized by patient: each patient's header, then all about them; else every reader sorts them again.

Source: Bulk Data Access 3.0.0, `organizeOutputBy`. A patient is never split over two files.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter

import orjson

from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources.patient import PATIENTS
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportFile, ExportJob, ExportLevel
from workers.fhir import asking, writing
from workers.fhir.snapshots import Reader
from workers.fhir.writing import Cut, Piece, Sample, Task

PATIENTS_AT_ONCE = 1000  # of one piece
ROWS_AT_ONCE, AT_ONCE_BYTES = 500, 4 * 1024 * 1024  # of each source
Line = tuple[str, str]  # patient, and a resource about them


def is_organized(asked: Asked, source: Source) -> bool:
    """Return whether a source's resources are written with their patients, not in files of their own."""
    return bool(asked.organize_by and source.patient)


def is_of_patients(asked: Asked, chunk: ExportChunk) -> bool:
    """Return whether a piece holds whole patients, and its borders are patients."""
    return bool(asked.organize_by) and chunk.source == PATIENTS.name and chunk.kind == ChunkKind.ROWS


def about_patients(job: ExportJob, asked: Asked) -> list[Source]:
    return [source for source in selection.sources_of(job, asked) if is_organized(asked, source)]


def holds_loose(job: ExportJob, chunk: ExportChunk) -> bool:
    """Return whether a piece also holds what is about no patient: the first one of an export of everything."""
    return job.level == ExportLevel.SYSTEM and chunk.lower is None


def pieces(job: ExportJob, asked: Asked, reader: Reader, look: Callable[[], object]) -> list[ExportChunk]:
    """Return pieces of PATIENTS_AT_ONCE patients each, the last one open; none where nothing is about a patient."""
    total = 0
    for source in about_patients(job, asked):
        sql = f"SELECT count(*) FROM {source.tables} WHERE {selection.where(job, asked, source)}"  # noqa: S608  # our own names only
        (count,) = asking.first(reader, sql, look) or (0,)
        total += count
    if not total:
        return []
    cut = selection.patient_borders(job, asked, PATIENTS_AT_ONCE)
    found, _ = asking.first(reader, cut, look) or (None, 0)
    borders = sorted(found or [])
    each = total // (len(borders) + 1)
    return [
        ExportChunk(source=PATIENTS.name, lower=lower, upper=upper, rows=each)
        for lower, upper in zip([None, *borders], [*borders, None], strict=True)
    ]


def write(task: Task) -> Piece:
    """Write the files of a piece in the order that was asked for; whatever goes wrong, none of them stays."""
    asked = Asked.from_json(task.job.parameters)
    if not is_of_patients(asked, task.chunk):
        return writing.write(task)
    sources = about_patients(task.job, asked)
    problems = Cut(task.stem, ExportFile.Kind.ERROR, "OperationOutcome", task.look.now)
    whole = Cut(task.stem, ExportFile.Kind.OUTPUT, "", task.look.now)
    cuts, told = [whole, *_loose(task, sources), problems], set[str]()
    with contextlib.ExitStack() as undo:
        for cut in cuts:
            undo.callback(cut.discard)
        streams = [_lines(task, asked, source, problems) for source in sources]
        for patient, found in groupby(heapq.merge(*streams, key=itemgetter(0)), key=itemgetter(0)):
            told.add(patient)
            _add_patient(whole, chain([header(patient)], (line for _, line in found)))
        for cut, source in zip(cuts[1:-1], sources, strict=False):
            for _, line in _lines(task, asked, source, problems, about_nobody=True):
                cut.add([line])
        written = [each for cut in cuts for each in cut.end()]
        undo.pop_all()
    return Piece(written, sum(cut.count for cut in cuts[:-1]) - len(told), told)


def _add_patient(cut: Cut, lines: Iterator[str]) -> None:
    """Write all lines of one patient into one file, some hundreds at a time."""
    together = False
    while some := list(islice(lines, ROWS_AT_ONCE)):
        cut.add(some, together=together)
        together = True


def _loose(task: Task, sources: Sequence[Source]) -> list[Cut]:
    """Return where to write what is about no patient, by type; nothing where the piece holds none of it."""
    if not holds_loose(task.job, task.chunk):
        return []
    output = ExportFile.Kind.OUTPUT
    return [Cut(f"{task.stem}-{source.name}", output, source.type, task.look.now) for source in sources]


def _lines(task: Task, asked: Asked, source: Source, problems: Cut, *, about_nobody: bool = False) -> Iterator[Line]:
    """Yield a source's resources about the patients of the piece, in the order of the patients."""
    resource, given = selection.resource_of(asked, source), writing.given_of(task.job)
    line, sample = resource.line(given), Sample(resource, given)
    found = selection.about(task.job, asked, source, task.chunk.lower, task.chunk.upper, nobody=about_nobody)
    patient = f"({source.patient})::uuid"
    columns = source.select(resource).removeprefix("SELECT ")
    sql = f"SELECT {patient}::text, {columns} WHERE {found} ORDER BY {patient}, {source.order}"
    at_once = writing.rows_at_once(task, source, found, (ROWS_AT_ONCE, AT_ONCE_BYTES))
    for rows in writing.fetched(task, sql, at_once, name=source.name):
        for about, *row in rows:
            for kept in sample.without_faulty(writing.opened(source, [tuple(row)], resource, problems), problems):
                yield about or "", line(kept)


def header(patient: str) -> str:
    """Return the line before all that is about one patient."""
    parameter = {"name": "header", "valueReference": {"reference": f"Patient/{patient}"}}
    return orjson.dumps({"resourceType": "Parameters", "parameter": [parameter]}).decode()
