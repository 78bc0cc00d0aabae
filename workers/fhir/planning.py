"""Cuts an export into pieces that workers share; without it one process would write all, and when killed begin anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backend.apps.core import dispatch
from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportJob, ExportStatus
from workers.fhir import organizing, snapshots
from workers.fhir.snapshots import LeaseLost, Reader

STEP = timedelta(minutes=3)  # a search for the next border; it has to read what does not match, too


def plan(job: ExportJob, reader: Reader) -> None:
    """Write down the pieces of the export. Safe to run again until it has committed; then `planned_at` is set.

    Raises:
        LeaseLost: another worker has the job.
    """
    asked = Asked.from_json(job.parameters)
    sources = selection.sources_of(job, asked)
    chunks = organizing.pieces(job, asked, sources, reader) if asked.organize_by else []
    for source in sources:
        if not organizing.is_organized(asked, source):
            chunks += _ranges(job, asked, source, reader)
        if selection.deleted(job, asked, source):
            chunks.append(ExportChunk(source=source.name, kind=ChunkKind.DELETED))
    now = timezone.now()
    with transaction.atomic():
        snapshots.note(
            job, planned_at=now, rows_total=sum(chunk.rows for chunk in chunks), status=ExportStatus.IN_PROGRESS
        )
        _add(job, chunks, first=1)
    dispatch.send(ExportChunk.task_name)


def _ranges(job: ExportJob, asked: Asked, source: Source, reader: Reader) -> list[ExportChunk]:
    """Return pieces of EXPORT_FILE_ROWS resources each; the last one is open, none where there are no rows.

    Border by border, so that no step takes longer than the lease.
    """
    size, chunks, lower = settings.EXPORT_FILE_ROWS, list[ExportChunk](), None
    while (upper := _asked(job, reader, selection.nth_key(job, asked, source, lower, size))) is not None:
        chunks.append(ExportChunk(source=source.name, lower=lower, upper=upper, rows=size))
        lower = upper
    rest = _asked(job, reader, selection.count(job, asked, source, lower))
    if rest:
        chunks.append(ExportChunk(source=source.name, lower=lower, rows=rest))
    elif chunks:
        chunks[-1].upper = None
    return chunks


def _asked(job: ExportJob, reader: Reader, sql: str) -> Any:
    if not job.renew(STEP):
        raise LeaseLost
    found = reader.execute(sql.encode()).fetchone()
    return found[0] if found else None


def see_anew(job: ExportJob, snapshot: str) -> None:
    """Note that what is not written yet is of another state; what it moved behind the last piece gets one more.

    A row that replaces another has a younger key: where the open end of a source is written already, that would be
    missed. So where it ended, another piece begins.
    """
    with transaction.atomic():
        snapshots.note(job, snapshots=[snapshot], snapshots_taken=job.snapshots_taken + 1)
        rows = ExportChunk.work.filter(job=job, kind=ChunkKind.ROWS).order_by("number")
        last = {chunk.source: chunk for chunk in rows}  # of each source the last one
        more = [
            ExportChunk(source=chunk.source, lower=chunk.upper or chunk.lower)
            for chunk in last.values()
            if chunk.work_state == WorkState.DONE
        ]
        highest = ExportChunk.work.filter(job=job).order_by("-number").values_list("number", flat=True).first()
        _add(job, more, first=(highest or 0) + 1)


def _add(job: ExportJob, chunks: list[ExportChunk], *, first: int) -> None:
    now = timezone.now()
    for number, chunk in enumerate(chunks, first):
        chunk.job, chunk.number, chunk.due_at = job, number, now
        chunk.dedupe_key = f"export:{job.pk}:{number}"
    ExportChunk.work.bulk_create(chunks, batch_size=1000)
