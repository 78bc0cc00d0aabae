"""One process at work on the pieces of exports, and what it must let go at the end: its view of the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import F, Q, TextField, Value
from django.db.models.functions import Cast, Now
from psycopg.pq import TransactionStatus

from backend.apps.core import dispatch
from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.exports.expiry import TROUBLE
from backend.apps.interop.fhir.sources import BY_NAME
from backend.apps.interop.models import ChunkKind, ExportChunk, ExportFile, ExportJob
from backend.apps.interop.models.exports import RUNNING
from integrations import egress
from integrations.errors import Misconfigured, Permanent, Transient
from workers.fhir import anew, asking, files, organizing, planning, snapshots, writing
from workers.fhir.lookout import STOPPED, Lookout
from workers.fhir.snapshots import LeaseLost, Reading
from workers.runner import HandlerBug, drain

PAUSE_S = 0.1  # between two looks for a piece that another worker had
SOON_S = 5.0  # until a piece that could not be written is tried again
SOON, PATIENCE = timedelta(seconds=SOON_S), timedelta(seconds=60)
NOTHING = "nothing due"
INTRANS = TransactionStatus.INTRANS
PATIENTS = ExportChunk._meta.get_field("patients")


class NotOurs(Exception):
    """What was written is of a state that the export has left, or the piece is another worker's by now."""


class Hands:
    """Writes pieces one after the other; holds the state of one job at a time, until the end of the block."""

    def __init__(self) -> None:
        self.bug: HandlerBug | None = None
        self.reading: Reading | None = None
        self.written = 0
        self._look = Lookout()
        self._stopped = False

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
        self._look.leading = job
        self.reading = snapshots.join(job) if job.planned_at else None
        if self.reading is None:
            self.reading, horizon = snapshots.take(job)
            if job.planned_at is None:
                taken = {"snapshots": [self.reading.snapshot], "snapshots_taken": self.reading.state}
                snapshots.note(job, **taken, transaction_time=horizon)
            else:
                anew.see_anew(job, self.reading, self._look)
        if job.planned_at is None:
            planning.plan(job, self.reading.connection, self._look)
        self._look.now()

    def work(self, until: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Write what is due, job by job, and wait for what others are at as long as it may come back to us."""
        while time.monotonic() < until and not self._stopped and not enough():
            if self._some() != NOTHING:
                continue
            if self.reading is None:
                return
            if self.is_awaited():
                self._look_at_job()
                time.sleep(PAUSE_S)
            elif self._look.leading is not None:
                return
            else:
                self._leave()  # this export is written; another may be due

    def hand_over(self, until: float) -> None:
        """Go on as one hand of several until another process holds the state too, so that it is not lost with us."""
        self._look.leading = None
        self.work(until, lambda: self.reading is None or self.reading.is_held_by_others())

    def _some(self) -> str:
        job = self._look.leading.pk if self._look.leading else self.reading.job if self.reading else None
        only = f"job_id = '{job}'" if job else ""
        try:
            return drain(ExportChunk, self.write, batch=1, only=only)
        except HandlerBug as bug:  # told in the log; the piece is in line again, the others go on
            self.bug = bug
            return str(bug)
        finally:
            self._look.chunk = None

    def write(self, chunk: ExportChunk) -> Mapping[str, Any] | None:
        """Write the files of one piece and, in one transaction under the fence, that they are there.

        Safe to run twice: files have the number of the lease in their names, and only those of the last are told of.

        Raises:
            Permanent: the export was stopped.
            Misconfigured: their bucket is where we may not connect.
            Transient: the files or the rows could not be reached.
        """
        job = ExportJob.all_objects.get(pk=chunk.job_id)
        if job.status not in RUNNING:
            raise Permanent(STOPPED, code="stopped")
        reading = self._state_of(job)
        if reading is None:  # whoever leads the job takes another one; maybe it is nobody's any more
            chunk.release(after=SOON)
            dispatch.send(ExportJob.task_name)
            return None
        self._look.chunk = chunk
        try:
            piece = organizing.write(writing.Task(chunk, job, reading.connection, self._look))
            upper = chunk.upper or _last_key(chunk, job, reading, self._look)
        except LeaseLost:
            return {}  # which the fence refuses
        except egress.Forbidden as forbidden:
            raise Misconfigured(str(forbidden), code="exports:egress") from None
        except TROUBLE as trouble:
            raise Transient("the files cannot be written", code=_code(trouble), retry_after_s=SOON_S) from None
        except psycopg.OperationalError as trouble:
            self._leave()
            raise Transient("the rows cannot be read", code=trouble.sqlstate or "away", retry_after_s=SOON_S) from None
        return self._told(chunk, piece, upper, reading)

    def _told(
        self, chunk: ExportChunk, piece: writing.Piece, upper: UUID | None, reading: Reading
    ) -> Mapping[str, Any] | None:
        paths = [one.path for _, _, one in piece.files]
        try:
            _note(chunk, piece, upper, reading)
        except NotOurs:
            files.remove(paths)
            self._leave()
            chunk.release(after=SOON)
            return None
        self.written += 1
        if chunk.lease_no > 1:
            files.remove(files.left_behind(str(chunk.job_id), f"{chunk.pk}-", paths))
        return None

    def _state_of(self, job: ExportJob) -> Reading | None:
        """Return what sees the state of the job; None when nobody holds that any more."""
        if self.reading is not None and self.reading.connection.info.transaction_status != INTRANS:
            self._leave()  # it broke, or what it was asked ended it
        if self.reading is None:
            self.reading = snapshots.join(job)
        self._stopped = self.reading is None
        return self.reading

    def is_awaited(self) -> bool:
        """Return whether a piece of the job whose state we hold is, or soon may be, in line again."""
        if self.reading is None:
            return False
        soon = Q(work_state=WorkState.WAITING, due_at__lt=Now() + PATIENCE)
        return ExportChunk.work.filter(soon | Q(work_state=WorkState.RUNNING), job=self.reading.job).exists()

    def _look_at_job(self) -> None:
        if self._look.leading is not None:
            try:
                self._look()
            except LeaseLost:
                self._stopped = True

    def _leave(self) -> None:
        if self.reading is not None:
            self.reading.leave()
            self.reading = None


def _note(chunk: ExportChunk, piece: writing.Piece, upper: UUID | None, reading: Reading) -> None:
    """Write down that the files of a piece are there, and of whom they tell; the job first, as whoever stops it does.

    Raises:
        NotOurs: nothing was written down.
    """
    patients = Cast(Value(list(piece.patients), ArrayField(TextField())), PATIENTS)
    with transaction.atomic():
        here = ExportJob.objects.filter(pk=reading.job, snapshots_taken=reading.state, status__in=RUNNING)
        done = {"rows": piece.count, "times_written": F("times_written") + 1, "upper": upper, "patients": patients}
        if not here.update(rows_done=F("rows_done") + piece.count) or not chunk.finish(**done):
            raise NotOurs
        ExportFile.objects.bulk_create(_files_of(chunk, piece))


def _files_of(chunk: ExportChunk, piece: writing.Piece) -> list[ExportFile]:
    return [
        ExportFile(
            job_id=chunk.job_id, chunk=chunk, kind=kind, resource_type=resource_type, part=part, path=one.path,
            count=one.count, size_bytes=one.size_bytes, stored_bytes=one.stored_bytes, sha256=one.sha256,
        )
        for part, (kind, resource_type, one) in enumerate(piece.files)
    ]  # fmt: skip


def _last_key(chunk: ExportChunk, job: ExportJob, reading: Reading, look: Lookout) -> Any:
    """Return where an open piece ended; None where it had no rows."""
    if chunk.kind == ChunkKind.DELETED:
        return None
    asked = Asked.from_json(job.parameters)
    if organizing.is_of_patients(asked, chunk):
        sql = selection.last_patient()
    else:
        sql = selection.last_key(job, asked, BY_NAME[chunk.source], chunk.lower)
    return (asking.first(reading.connection, sql, look) or (None,))[0]


def _code(trouble: Exception) -> str:
    return str(getattr(trouble, "errno", None) or type(trouble).__name__)
