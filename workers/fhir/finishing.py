"""Ends an export: its manifest, the accounting of whose data went, or the sentence why it failed."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.sources import BY_NAME
from backend.apps.interop.models import Disclosure, ExportChunk, ExportFile, ExportJob, ExportStatus
from backend.apps.interop.models.exports import RUNNING
from workers.fhir import files, writing
from workers.fhir.snapshots import Reader
from workers.fhir.writing import Cut

BROKEN = Q(work_state__in=(WorkState.FAILED, WorkState.HELD))
PATIENTS_AT_ONCE = 10_000
NOTE = "INSERT INTO interop_disclosedpatient (disclosure_id, patient_id) SELECT %s, unnest(%s::uuid[])"
COMMAND_LINE = "the command line of this server"


class Stopped(Exception):
    """The export was cancelled in the moment it would have been complete."""


def failure_of(job: ExportJob) -> str:
    """Return why the export has failed, in a sentence; "" when it has not."""
    broken = ExportChunk.work.filter(BROKEN, job=job).order_by("number")
    names = sorted({BY_NAME[name].type for name in broken.values_list("source", flat=True)})
    if not names:
        return ""
    return f"{broken.count()} of {job.chunks.count()} parts could not be written, of {', '.join(names)}."[:300]


def fail(job: ExportJob, sentence: str) -> None:
    job.give_up(sentence, failure=sentence, finished_at=Now())


def is_written(job: ExportJob) -> bool:
    return not ExportChunk.work.filter(job=job).exclude(work_state=WorkState.DONE).exists()


def complete(job: ExportJob, reader: Reader) -> bool:
    """Complete the export and its accounting in one transaction; False when it is no longer ours or was stopped."""
    problems = _problems_file(job)
    try:
        with transaction.atomic():
            done = {"status": ExportStatus.COMPLETED, "finished_at": Now(), "snapshots": []}
            if not job.finish(**done, expires_at=Now() + timedelta(days=settings.EXPORT_DAYS)):
                raise Stopped
            ExportFile.objects.bulk_create(problems)
            _account(job, reader)
    except Stopped:
        files.remove([one.path for one in problems])
        return False
    known = set(ExportFile.objects.filter(job=job).values_list("path", flat=True))
    files.remove(files.left_behind(str(job.pk), "", known))
    return True


def _problems_file(job: ExportJob) -> list[ExportFile]:
    """Write what was asked for and not honoured into a file of its own."""
    cut = Cut(f"{job.pk}/{job.pk}-{job.lease_no}", ExportFile.Kind.ERROR, "OperationOutcome")
    cut.add([writing.outcome([issue]) for issue in job.problems])
    return [
        ExportFile(
            job=job, kind=kind, resource_type=resource_type, path=one.path, count=one.count,
            size_bytes=one.size_bytes, stored_bytes=one.stored_bytes, sha256=one.sha256,
        )
        for kind, resource_type, one in cut.end()
    ]  # fmt: skip


def _account(job: ExportJob, reader: Reader) -> None:
    """Write down to whom whose data went: those who had something in the state that was exported."""
    asked = Asked.from_json(job.parameters)
    told = Disclosure.objects.create(
        job=job,
        recipient=recipient(job),
        purpose=job.client.purpose if job.client else "",
        resource_types=sorted({source.type for source in selection.sources_of(job, asked)}),
        changed_since=asked.since,
    )
    covered = selection.patients_covered(job, asked)
    if covered:
        Disclosure.objects.filter(pk=told.pk).update(patients_count=_copy(told, covered, reader))


def _copy(told: Disclosure, covered: str, reader: Reader) -> int:
    """Write down the patients of the state that was exported, some thousands at a time; return how many."""
    count = 0
    with reader.cursor(name="covered") as found, connection.cursor() as cursor:
        found.execute(f"SELECT id::text FROM ({covered}) AS covered (id)".encode())  # noqa: S608  # our own names only
        while rows := found.fetchmany(PATIENTS_AT_ONCE):
            cursor.execute(NOTE, [told.pk, [key for (key,) in rows]])
            count += len(rows)
    return count


def recipient(job: ExportJob) -> str:
    if job.client is not None:
        return job.client.name
    if job.requested_by is not None:
        return job.requested_by.full_name or job.requested_by.email
    return COMMAND_LINE


def stopped(job: ExportJob) -> bool:
    return not ExportJob.objects.filter(pk=job.pk, status__in=RUNNING).exists()
