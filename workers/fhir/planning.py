"""Cuts an export into pieces that workers share; without it one process would write all, and when killed begin anew."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backend.apps.core import dispatch
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportJob, ExportStatus
from workers.fhir import asking, organizing, snapshots
from workers.fhir.snapshots import Reader


def plan(job: ExportJob, reader: Reader, look: Callable[[], object]) -> None:
    """Write down the pieces of the export. Safe to run again until it has committed; then `planned_at` is set.

    Raises:
        LeaseLost: another worker has the job.
    """
    asked = Asked.from_json(job.parameters)
    chunks = organizing.pieces(job, asked, reader, look) if asked.organize_by else []
    for source in selection.sources_of(job, asked):
        if not organizing.is_organized(asked, source):
            chunks += _ranges(job, asked, source, reader, look)
        if selection.deleted(job, asked, source):
            chunks.append(ExportChunk(source=source.name, kind=ChunkKind.DELETED))
    now = timezone.now()
    with transaction.atomic():
        snapshots.note(
            job, planned_at=now, rows_total=sum(chunk.rows for chunk in chunks), status=ExportStatus.IN_PROGRESS
        )
        add(job, chunks)
    dispatch.send(ExportChunk.task_name)


def _ranges(
    job: ExportJob, asked: Asked, source: Source, reader: Reader, look: Callable[[], object]
) -> list[ExportChunk]:
    """Return pieces of EXPORT_FILE_ROWS resources each; the last one is open, none where there are no rows."""
    size = settings.EXPORT_FILE_ROWS
    found, count = asking.first(reader, selection.borders(job, asked, source, size), look) or (None, 0)
    if not count:
        return []
    borders: list[UUID | None] = sorted(set(found or []))  # a row of several resources may lie on two
    if count % size == 0:
        borders.pop()
    rest = max(count - size * len(borders), 0)
    return [
        ExportChunk(source=source.name, lower=lower, upper=upper, rows=rest if upper is None else size)
        for lower, upper in zip([None, *borders], [*borders, None], strict=True)
    ]


def add(job: ExportJob, chunks: list[ExportChunk]) -> None:
    """Put pieces in line behind those that the export has."""
    now = timezone.now()
    highest = ExportChunk.work.filter(job=job).order_by("-number").values_list("number", flat=True).first()
    for number, chunk in enumerate(chunks, (highest or 0) + 1):
        chunk.job, chunk.number, chunk.due_at = job, number, now
        chunk.dedupe_key = f"export:{job.pk}:{number}"
    ExportChunk.work.bulk_create(chunks, batch_size=1000)
