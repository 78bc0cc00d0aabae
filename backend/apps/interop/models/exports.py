"""One bulk export: what was asked, its pieces of work and its files; without the rows a killed worker would end it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel
from backend.apps.core.work import WorkItem, WorkState, work_indexes

LEASE_FOR = timedelta(seconds=30)  # renewed while a worker is at it: what one that died had is taken up soon
UNSAID = "The export broke off, and trying again did not help. Try it once more, or ask whoever runs this server."


class ExportLevel(models.TextChoices):
    SYSTEM = "system"
    PATIENT = "patient", "all patients"
    GROUP = "group"


class ExportStatus(models.TextChoices):
    ACCEPTED = "accepted"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


RUNNING = (ExportStatus.ACCEPTED, ExportStatus.IN_PROGRESS)


class ExportJob(ClinicModel, WorkItem):
    """One `$export`. Its URL is its id; who asked (`client`, else `requested_by`) alone may look at it, and admins.

    parameters: the kick-off as it was understood (`fhir.exports.asked.Asked` as JSON), canonical.
    problems: OperationOutcome issues about parameters that were not honoured (Prefer: handling=lenient).
    snapshots: ids of exported snapshots that show the same state of the database, held by workers that take part.
    snapshots_taken: how many states were needed: more than 1 when all workers of a job had died in between.
    transaction_time: everything that was committed by then is in the files.
    granted: resource types the asker may have, or empty for all.
    """

    Status = ExportStatus
    Level = ExportLevel

    task_name: ClassVar[str] = "fhir_export.run"
    replay_safe: ClassVar[bool] = True
    lease_for: ClassVar[timedelta] = LEASE_FOR
    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    status = models.CharField(max_length=11, choices=Status, default=Status.ACCEPTED, editable=False)
    level = models.CharField(max_length=7, choices=Level, editable=False)
    group = models.ForeignKey(
        "interop.PatientGroup", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="exports"
    )
    client = models.ForeignKey(
        "interop.SmartClient", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="exports"
    )
    requested_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    request_url = models.TextField(editable=False)
    base_url = models.CharField(max_length=300, editable=False)  # the FHIR base as the asker wrote it
    parameters = models.JSONField(default=dict, editable=False)
    granted = models.JSONField(default=list, editable=False)
    problems = models.JSONField(default=list, editable=False)
    snapshots = models.JSONField(default=list, editable=False)
    snapshots_taken = models.PositiveSmallIntegerField(default=0, editable=False)
    transaction_time = models.DateTimeField(null=True, blank=True, editable=False)
    planned_at = models.DateTimeField(null=True, blank=True, editable=False)
    rows_total = models.PositiveBigIntegerField(default=0, editable=False)
    rows_done = models.PositiveBigIntegerField(default=0, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    files_removed_at = models.DateTimeField(null=True, blank=True, editable=False)
    polled_at = models.DateTimeField(null=True, blank=True, editable=False)
    polls = models.PositiveIntegerField(default=0, editable=False)
    failure = models.CharField(max_length=300, blank=True, editable=False)  # a sentence without a patient's data

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(status__in=ExportStatus.values), name="interop_exportjob_status_known"),
            models.CheckConstraint(condition=Q(level__in=ExportLevel.values), name="interop_exportjob_level_known"),
            models.CheckConstraint(condition=Q(work_state__in=WorkState.values), name="interop_exportjob_work_known"),
            models.CheckConstraint(
                condition=Q(level="group", group__isnull=False) | (~Q(level="group") & Q(group__isnull=True)),
                name="interop_exportjob_group_when_group",
            ),
            models.CheckConstraint(
                condition=~Q(status="completed")
                | Q(finished_at__isnull=False, expires_at__isnull=False, transaction_time__isnull=False),
                name="interop_exportjob_completed_dated",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("exportjob"),
            models.Index(fields=["-created_at", "id"], name="exportjob_newest"),
            models.Index(fields=["status", "expires_at"], name="exportjob_expiry"),
        ]

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        if state not in (WorkState.FAILED, WorkState.HELD):
            return {}
        return {"status": ExportStatus.FAILED, "failure": UNSAID, "finished_at": Now()}


class ChunkKind(models.TextChoices):
    ROWS = "rows", "resources of one source"
    DELETED = "deleted", "what was deleted since"


class ExportChunk(UUIDModel, WorkItem):
    """A range of one source's rows, written as one or more files by whoever leases it.

    source: `Source.name`. lower (exclusive) and upper (inclusive) are keys of its table; NULL is open. Ranges are by
    key and not by time, so that a row that changes while the export runs stays in its range. patients: of whom its
    files tell, each once; nobody when those are gone.
    """

    task_name: ClassVar[str] = "fhir_export.write"
    max_attempts: ClassVar[int] = 5
    replay_safe: ClassVar[bool] = True
    lease_for: ClassVar[timedelta] = LEASE_FOR

    job = models.ForeignKey(ExportJob, editable=False, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    kind = models.CharField(max_length=7, choices=ChunkKind, default=ChunkKind.ROWS, editable=False)
    source = models.CharField(max_length=40, editable=False)
    number = models.PositiveIntegerField(editable=False)  # within the job; files come in this order
    lower = models.UUIDField(null=True, editable=False)
    upper = models.UUIDField(null=True, editable=False)
    rows = models.PositiveIntegerField(default=0, editable=False)  # planned; then written
    patients = ArrayField(models.UUIDField(), default=list, editable=False)
    times_written = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["job", "number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job", "number"], name="interop_exportchunk_numbered"),
            models.CheckConstraint(condition=Q(kind__in=ChunkKind.values), name="interop_exportchunk_kind_known"),
            models.CheckConstraint(condition=Q(work_state__in=WorkState.values), name="interop_exportchunk_work_known"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("exportchunk"),
            models.Index(fields=["job", "work_state"], name="exportchunk_progress"),
        ]

    def __str__(self) -> str:
        return f"export chunk {self.pk}"


class ExportFile(UUIDModel):
    """One file of an export as the manifest lists it; its URL is its id.

    sha256 and size_bytes are of the NDJSON as read, stored_bytes of the gzip that is kept under `path`.
    Nobody deletes the file before `read_until`, which downloads move on while they last.
    """

    class Kind(models.TextChoices):
        OUTPUT = "output"
        ERROR = "error"
        DELETED = "deleted"

    job = models.ForeignKey(ExportJob, editable=False, on_delete=models.CASCADE, related_name="files", db_index=False)
    chunk = models.ForeignKey(ExportChunk, null=True, editable=False, on_delete=models.CASCADE, related_name="files")
    kind = models.CharField(max_length=7, choices=Kind, default=Kind.OUTPUT, editable=False)
    resource_type = models.CharField(max_length=40, editable=False)
    part = models.PositiveIntegerField(default=0, editable=False)
    path = models.CharField(max_length=300, editable=False)
    count = models.PositiveIntegerField(editable=False)
    size_bytes = models.PositiveBigIntegerField(editable=False)
    stored_bytes = models.PositiveBigIntegerField(editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    read_until = models.DateTimeField(null=True, editable=False)
    removed_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["job", "chunk__number", "part"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["path"], name="interop_exportfile_one_path"),
            models.CheckConstraint(condition=Q(sha256__regex="^[0-9a-f]{64}$"), name="interop_exportfile_hashed"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["job", "kind"], name="exportfile_job")]

    def __str__(self) -> str:
        return f"export file {self.pk}"
