"""Goes on with an export whose state was lost, so that its files show one state all the same: the new one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from django.db import transaction
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Greatest, Now

from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources import BY_NAME
from backend.apps.interop.fhir.sources.patient import PATIENTS
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportFile, ExportJob
from workers.fhir import asking, files, organizing, planning, snapshots
from workers.fhir.snapshots import Reader, Reading

Look = Callable[[], object]
LOOKING_S = 100.0  # at the pieces that are written; the task has time left to write some


def see_anew(job: ExportJob, reading: Reading, look: Look) -> None:
    """Put back what is not as it was when it was written, and add a piece for what came behind the last of a source.

    From the first step on nothing is written from the old state any more, and nothing from the new one until the last.
    Pieces that LOOKING_S was not enough for are put back unseen. So a process that stays alone, and loses the state
    with each task, ends no export of more pieces than it can look at in that time and write in the rest of the task;
    with a second one that lends a hand the state outlives the task.
    What a page of the manifest has told stays; what changed there is younger than `transaction_time`.

    Raises:
        LeaseLost: another worker has the job.
    """
    asked = Asked.from_json(job.parameters)
    snapshots.note(job, snapshots=[], snapshots_taken=reading.state)
    until, told = time.monotonic() + LOOKING_S, _told(job)
    done = _light(job).filter(work_state=WorkState.DONE, times_written__gt=0, number__gt=told)
    seen = ((chunk, time.monotonic() > until) for chunk in done)
    other = [chunk for chunk, late in seen if late or _is_other(job, asked, chunk, reading.connection, look)]
    with transaction.atomic():
        snapshots.note(job, snapshots=[reading.snapshot])
        told = _told(job)
        paths = _put_back(job, [chunk for chunk in other if chunk.number > told])
        planning.add(job, list(_behind(job, asked)))
    files.remove(paths)


def _light(job: ExportJob) -> QuerySet[ExportChunk]:
    """Return the pieces of a job in their order, without the patients, of whom all pieces may name millions."""
    return ExportChunk.work.filter(job=job).defer("patients").order_by("number")


def _told(job: ExportJob) -> int:
    """Return the number of the last piece that a page of the manifest has told of; those before it stay, too."""
    pages = job.files.filter(read_until__isnull=False, chunk__isnull=False)
    return int(pages.aggregate(last=Max("chunk__number"))["last"] or 0)


def _is_other(job: ExportJob, asked: Asked, chunk: ExportChunk, reader: Reader, look: Look) -> bool:
    """Return whether a piece would be another one now: other rows by their number or patients, or one that changed.

    One that found no row at all keeps none; another begins where it did.
    """
    if chunk.kind == ChunkKind.DELETED:
        return True
    if chunk.upper is None:
        return False
    count = 0
    for source, found in _held(job, asked, chunk):
        here, others, latest = asking.first(reader, _summed(chunk, source, found), look) or (0, False, None)
        if others or (latest is not None and job.transaction_time is not None and latest > job.transaction_time):
            return True
        count += here
    return count != chunk.rows


def _summed(chunk: ExportChunk, source: Source, found: str) -> str:
    """Return the query for how many rows there are, whether some are of patients who were not told of, and the latest.

    Who is a member of a group by now has old rows that none of its pieces has.
    """
    of_whom = source.patient or source.named
    patient = f"({of_whom})::uuid" if of_whom else "NULL::uuid"
    return f"""WITH found (patient, changed) AS MATERIALIZED (
            SELECT {patient}, {source.changed} FROM {source.tables} WHERE {found})
        SELECT count(*), EXISTS (SELECT patient FROM found WHERE patient IS NOT NULL
            EXCEPT SELECT unnest(patients) FROM interop_exportchunk WHERE id = '{chunk.pk}'), max(changed)
        FROM found"""  # noqa: S608  # our own names only


def _held(job: ExportJob, asked: Asked, chunk: ExportChunk) -> Iterator[tuple[Source, str]]:
    """Yield what a piece is made of: sources, and the conditions for their rows."""
    if not organizing.is_of_patients(asked, chunk):
        source = BY_NAME[chunk.source]
        yield source, selection.within(job, asked, source, chunk.lower, chunk.upper)
        return
    for source in organizing.about_patients(job, asked):
        yield source, selection.about(job, asked, source, chunk.lower, chunk.upper)
        if organizing.holds_loose(job, chunk):
            yield source, selection.about(job, asked, source, None, None, nobody=True)


def _put_back(job: ExportJob, chunks: list[ExportChunk]) -> list[str]:
    """Put pieces back in line, to be written from the new state; return the paths of their files, which are to go."""
    of_them = ExportFile.objects.filter(chunk__in=chunks)
    paths = list(of_them.values_list("path", flat=True))
    of_them.delete()
    waiting = {"work_state": WorkState.WAITING, "attempts": 0, "due_at": Now(), "updated_at": Now()}
    ExportChunk.work.filter(pk__in=[chunk.pk for chunk in chunks]).update(**waiting)
    rows = sum(chunk.rows for chunk in chunks)
    ExportJob.objects.filter(pk=job.pk).update(rows_done=Greatest(F("rows_done") - rows, 0))
    return paths


def _behind(job: ExportJob, asked: Asked) -> Iterator[ExportChunk]:
    """Yield open pieces for the sources whose last piece is not open any more, and for those that had no rows."""
    last = {chunk.source: chunk for chunk in _light(job).filter(kind=ChunkKind.ROWS)}  # of each source the last one
    sources = selection.sources_of(job, asked)
    names = (PATIENTS.name if organizing.is_organized(asked, source) else source.name for source in sources)
    for name in dict.fromkeys(names):
        if name not in last:
            yield ExportChunk(source=name)
        elif last[name].upper is not None or (last[name].work_state == WorkState.DONE and last[name].times_written):
            yield ExportChunk(source=name, lower=last[name].upper or last[name].lower)
