"""One process at work on the pieces of exports, and what it must let go at the end: its view of the database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.sources import BY_NAME
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportFile, ExportJob
from backend.apps.interop.models.exports import RUNNING
from integrations.errors import Transient
from workers.fhir import files, organizing, planning, snapshots, writing
from workers.fhir.snapshots import LeaseLost, Reader, Reading
from workers.runner import HandlerBug, NotNeeded, drain

LOOK_S = 1.0  # between two looks at whether the work is still wanted and ours
PAUSE_S = 0.1  # between two looks for a piece that another worker had
SOON_S = 5.0  # until a piece that could not be written is tried again
SOON, PATIENCE = timedelta(seconds=SOON_S), timedelta(seconds=60)
NOTHING = "nothing due"


class Hands:
    """Writes pieces one after the other; holds the state of one job at a time, until the end of the block."""

    def __init__(self) -> None:
        self.bug: HandlerBug | None = None
        self._reading: Reading | None = None
        self._job: ExportJob | None = None  # whose lease is renewed along with that of the pieces
        self._stopped = False
        self._looked_at = 0.0
        self.written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def lead(self, job: ExportJob) -> None:
        """Plan a leased job if nobody has, or see its state again; its lease is kept while we work.

        Raises:
            LeaseLost: another worker has it.
        """
        self._job = job
        self._reading = snapshots.join(job) if job.planned_at else None
        if self._reading is None:
            self._reading, horizon = snapshots.take(job)
            self._take(job, self._reading, horizon)
        if job.planned_at is None:
            planning.plan(job, self._reading.connection)

    def _take(self, job: ExportJob, reading: Reading, horizon: Any) -> None:
        if job.planned_at is None:
            taken = job.snapshots_taken + 1
            snapshots.note(job, snapshots=[reading.snapshot], snapshots_taken=taken, transaction_time=horizon)
        else:
            planning.see_anew(job, reading.snapshot)

    def reader(self, job: ExportJob) -> Reader:
        """Return a connection that sees the state of the job, or the present one when nobody holds that any more."""
        if self._reading is None or self._reading.job != job.pk:
            self._leave()
            self._reading = snapshots.join(job) or snapshots.take(job)[0]
        return self._reading.connection

    def work(self, until: float) -> None:
        """Write what is due, job by job, and wait for what others are at as long as it may come back to us."""
        while time.monotonic() < until and not self._stopped:
            if self._some() != NOTHING:
                continue
            if self._reading is None:
                return
            if self._awaited():
                self._look_at_job()
                time.sleep(PAUSE_S)
            elif self._job is not None:
                return
            else:
                self._leave()  # this export is written; another may be due

    def _some(self) -> str:
        job = self._job.pk if self._job else self._reading.job if self._reading else None
        only = f"job_id = '{job}'" if job else ""
        try:
            return drain(ExportChunk, self.write, batch=1, only=only)
        except HandlerBug as bug:  # told in the log; the piece is in line again, the others go on
            self.bug = bug
            return str(bug)

    def write(self, chunk: ExportChunk) -> Mapping[str, Any] | None:
        """Write the files of one piece and, in one transaction under the fence, that they are there.

        Safe to run twice: files have the number of the lease in their names, and only those of the last are told of.

        Raises:
            NotNeeded: the export was stopped.
            Transient: the files or the rows could not be reached.
        """
        job = ExportJob.all_objects.get(pk=chunk.job_id)
        if job.status not in RUNNING:
            raise NotNeeded("the export was stopped")
        reader = self._state_of(job)
        if reader is None:  # whoever leads the job takes another one
            chunk.release(after=SOON)
            return None
        try:
            piece = organizing.write(writing.Task(chunk, job, reader, Lookout(chunk, self._job)))
            upper = chunk.upper or _last_key(chunk, job, reader)
        except LeaseLost:
            return {}  # which the fence refuses
        except files.TROUBLE as trouble:
            raise Transient("the files cannot be written", code=_code(trouble), retry_after_s=SOON_S) from None
        except psycopg.OperationalError as trouble:
            self._leave()
            raise Transient("the rows cannot be read", code=trouble.sqlstate or "away", retry_after_s=SOON_S) from None
        return self._told(chunk, piece, upper)

    def _told(self, chunk: ExportChunk, piece: writing.Piece, upper: UUID | None) -> Mapping[str, Any] | None:
        with transaction.atomic():
            ours = chunk.finish(rows=piece.count, times_written=F("times_written") + 1, upper=upper)
            if ours:
                ExportFile.objects.bulk_create(_files_of(chunk, piece))
                ExportJob.all_objects.filter(pk=chunk.job_id).update(rows_done=F("rows_done") + piece.count)
        paths = [one.path for _, _, one in piece.files]
        if not ours:
            files.remove(paths)
            return {}
        self.written += 1
        if chunk.lease_no > 1:
            files.remove(files.left_behind(str(chunk.job_id), f"{chunk.pk}-", paths))
        return None

    def _state_of(self, job: ExportJob) -> Reader | None:
        """Return a connection that sees the state of the job; None when nobody holds that any more."""
        if self._reading is None:
            self._reading = snapshots.join(job)
        self._stopped = self._reading is None
        return self._reading.connection if self._reading else None

    def _awaited(self) -> bool:
        """Return whether a piece of the job whose state we hold is, or soon may be, in line again."""
        if self._reading is None:
            return False
        soon = Q(work_state=WorkState.WAITING, due_at__lt=Now() + PATIENCE)
        return ExportChunk.work.filter(soon | Q(work_state=WorkState.RUNNING), job=self._reading.job).exists()

    def _look_at_job(self) -> None:
        if self._job is not None and time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            self._stopped = not self._job.renew()

    def _leave(self) -> None:
        if self._reading is not None:
            self._reading.leave()
            self._reading = None


class Lookout:
    """Looks now and then whether a piece is still wanted and still ours, and renews the leases while it is."""

    def __init__(self, chunk: ExportChunk, leading: ExportJob | None) -> None:
        self._chunk, self._leading, self._looked_at = chunk, leading, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = time.monotonic()
        if self._leading is not None:
            self._leading.renew()
        if not self._chunk.renew():
            raise LeaseLost
        if not ExportJob.objects.filter(pk=self._chunk.job_id, status__in=RUNNING).exists():
            raise NotNeeded("the export was stopped")


def _files_of(chunk: ExportChunk, piece: writing.Piece) -> list[ExportFile]:
    return [
        ExportFile(
            job_id=chunk.job_id, chunk=chunk, kind=kind, resource_type=resource_type, part=part, path=one.path,
            count=one.count, size_bytes=one.size_bytes, stored_bytes=one.stored_bytes, sha256=one.sha256,
        )
        for part, (kind, resource_type, one) in enumerate(piece.files)
    ]  # fmt: skip


def _last_key(chunk: ExportChunk, job: ExportJob, reader: Reader) -> Any:
    """Return where an open piece ended; None where it had no rows."""
    if chunk.kind == ChunkKind.DELETED:
        return None
    asked, source = Asked.from_json(job.parameters), BY_NAME[chunk.source]
    found = reader.execute(selection.last_key(job, asked, source, chunk.lower).encode()).fetchone()
    return found[0] if found else None


def _code(trouble: Exception) -> str:
    return str(getattr(trouble, "errno", None) or type(trouble).__name__)
