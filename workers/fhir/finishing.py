"""Ends an export: its manifest, the accounting of whose data went, or the sentence why it failed."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import accounting
from backend.apps.interop.fhir.sources import BY_NAME
from backend.apps.interop.models import ExportChunk, ExportFile, ExportJob, ExportStatus
from backend.apps.interop.models.exports import RUNNING
from workers.fhir import files, writing
from workers.fhir.writing import Cut

WRITTEN = Q(work_state=WorkState.DONE, times_written__gt=0)
BROKEN = Q(work_state__in=(WorkState.FAILED, WorkState.HELD)) | Q(work_state=WorkState.DONE, times_written=0)


class Stopped(Exception):
    """The export was cancelled in the moment it would have been complete."""


def failure_of(job: ExportJob) -> str:
    """Return why the export has failed, in a sentence; "" when it has not."""
    broken = ExportChunk.work.filter(BROKEN, job=job).order_by("number")
    names = sorted({BY_NAME[name].type for name in broken.values_list("source", flat=True)})
    if not names:
        return ""
    return f"{broken.count()} of {job.chunks.count()} parts could not be written, of {', '.join(names)}."[:300]


@transaction.atomic
def fail(job: ExportJob, sentence: str) -> None:
    """End the export; what parts of it were told of is accounted for."""
    if job.give_up(sentence, failure=sentence, finished_at=Now()):
        accounting.account_told(job)


def is_written(job: ExportJob) -> bool:
    return not ExportChunk.work.filter(~WRITTEN, job=job).exists()


def complete(job: ExportJob) -> bool:
    """Complete the export and its accounting in one transaction; False when it is no longer ours or was stopped."""
    problems = _problems_file(job)
    try:
        with transaction.atomic():
            done = {"status": ExportStatus.COMPLETED, "finished_at": Now(), "snapshots": []}
            if not job.finish(**done, expires_at=Now() + timedelta(days=settings.EXPORT_DAYS)):
                raise Stopped
            ExportFile.objects.bulk_create(problems)
            accounting.account(job)
    except Stopped:
        files.remove([one.path for one in problems])
        return False
    known = set(ExportFile.objects.filter(job=job).values_list("path", flat=True))
    files.remove(files.left_behind(str(job.pk), "", known))
    return True


def _problems_file(job: ExportJob) -> list[ExportFile]:
    """Write what was asked for and not honoured into a file of its own."""
    cut = Cut(f"{job.pk}/{job.pk}-{job.lease_no}", ExportFile.Kind.ERROR, "OperationOutcome", job.renew)
    cut.add([writing.outcome([issue]) for issue in job.problems])
    return [
        ExportFile(
            job=job, kind=kind, resource_type=resource_type, path=one.path, count=one.count,
            size_bytes=one.size_bytes, stored_bytes=one.stored_bytes, sha256=one.sha256,
        )
        for kind, resource_type, one in cut.end()
    ]  # fmt: skip


def stopped(job: ExportJob) -> bool:
    return not ExportJob.objects.filter(pk=job.pk, status__in=RUNNING).exists()
