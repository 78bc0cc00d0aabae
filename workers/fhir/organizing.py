"""Writes files organized by patient: each patient's header, then all about them; else every reader sorts them again.

Source: Bulk Data Access 3.0.0, `organizeOutputBy`. A patient is never split over two files.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import orjson

from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources.patient import PATIENTS
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportFile, ExportJob, ExportLevel
from workers.fhir import writing
from workers.fhir.snapshots import Reader
from workers.fhir.writing import Cut, Piece, Sample, Task

PATIENTS_AT_ONCE = 1000  # of one piece
ROWS_AT_ONCE = 500  # of each source
Line = tuple[str, str]  # patient, and a resource about them


def is_organized(asked: Asked, source: Source) -> bool:
    """Return whether a source's resources are written with their patients, not in files of their own."""
    return bool(asked.organize_by and source.patient)


def pieces(job: ExportJob, asked: Asked, sources: Sequence[Source], reader: Reader) -> list[ExportChunk]:
    """Return pieces of PATIENTS_AT_ONCE patients each, the last one open; none where nothing is about a patient."""
    about = [source for source in sources if is_organized(asked, source)]
    total = sum(_count(job, asked, source, reader) for source in about)
    if not total:
        return []
    found = reader.execute(
        f"""SELECT array_agg(id ORDER BY place) FILTER (WHERE place % {PATIENTS_AT_ONCE} = 0)
        FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM patients_patient) AS placed""".encode()  # noqa: S608  # ours
    ).fetchone()
    borders = (found and found[0]) or []
    each = total // (len(borders) + 1)
    return [
        ExportChunk(source=PATIENTS.name, lower=lower, upper=upper, rows=each)
        for lower, upper in zip([None, *borders], [*borders, None], strict=True)
    ]


def _count(job: ExportJob, asked: Asked, source: Source, reader: Reader) -> int:
    sql = f"SELECT count(*) FROM {source.tables} WHERE {selection.where(job, asked, source)}"  # noqa: S608  # our own names
    (count,) = reader.execute(sql.encode()).fetchone() or (0,)
    return int(count)


def write(task: Task) -> Piece:
    """Write the files of a piece in the order that was asked for; whatever goes wrong, none of them stays."""
    asked = Asked.from_json(task.job.parameters)
    if not asked.organize_by or task.chunk.source != PATIENTS.name or task.chunk.kind != ChunkKind.ROWS:
        return writing.write(task)
    sources = [source for source in selection.sources_of(task.job, asked) if source.patient]
    problems = Cut(task.stem, ExportFile.Kind.ERROR, "OperationOutcome")
    cuts = [Cut(task.stem, ExportFile.Kind.OUTPUT, ""), *_loose(task, sources), problems]
    with contextlib.ExitStack() as undo:
        for cut in cuts:
            undo.callback(cut.discard)
        streams = [_lines(task, asked, source, problems) for source in sources]
        for patient, found in groupby(heapq.merge(*streams, key=itemgetter(0)), key=itemgetter(0)):
            cuts[0].add([header(patient), *(line for _, line in found)])
        for cut, source in zip(cuts[1:-1], sources, strict=False):
            for _, line in _lines(task, asked, source, problems, about_nobody=True):
                cut.add([line])
        written = [each for cut in cuts for each in cut.end()]
        undo.pop_all()
    return Piece(written, sum(cut.count for cut in cuts[:-1]))


def _loose(task: Task, sources: Sequence[Source]) -> list[Cut]:
    """Return where to write what is about no patient: by type, with the first piece of an export of everything."""
    if task.job.level != ExportLevel.SYSTEM or task.chunk.lower is not None:
        return []
    return [Cut(f"{task.stem}-{source.name}", ExportFile.Kind.OUTPUT, source.type) for source in sources]


def _lines(task: Task, asked: Asked, source: Source, problems: Cut, *, about_nobody: bool = False) -> Iterator[Line]:
    """Yield a source's resources about the patients of the piece, in the order of the patients."""
    resource, given = selection.resource_of(asked, source), writing.given_of(task.job)
    line, sample = resource.line(given), Sample(resource, given)
    found = selection.about(task.job, asked, source, task.chunk.lower, task.chunk.upper, nobody=about_nobody)
    patient = f"({source.patient})::uuid"
    columns = source.select(resource).removeprefix("SELECT ")
    sql = f"SELECT {patient}::text, {columns} WHERE {found} ORDER BY {patient}, {source.order}"
    for rows in writing.fetched(task, sql, ROWS_AT_ONCE, name=source.name):
        for about, *row in rows:
            for kept in sample.without_faulty([tuple(row)], problems):
                yield about or "", line(kept)


def header(patient: str) -> str:
    """Return the line before all that is about one patient."""
    parameter = {"name": "header", "valueReference": {"reference": f"Patient/{patient}"}}
    return orjson.dumps({"resourceType": "Parameters", "parameter": [parameter]}).decode()
