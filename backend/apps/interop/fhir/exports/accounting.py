"""Writes down whose data an export gave to whom; without it no patient could be told (45 CFR 164.528)."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import selection
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import DisclosedPatient, Disclosure, ExportFile, ExportJob, ExportStatus

COMMAND_LINE = "the command line of this server"
ENDED = Q(status__in=(ExportStatus.FAILED, ExportStatus.CANCELLED, ExportStatus.EXPIRED))
TOLD = "id IN (SELECT chunk_id FROM interop_exportfile WHERE job_id = %s AND read_until IS NOT NULL)"
# Whose record was merged into another meanwhile is told of there.
NOTE = """
    INSERT INTO interop_disclosedpatient (disclosure_id, patient_id)
    SELECT DISTINCT %s::uuid, COALESCE(patient.merged_into_id, patient.id) FROM (
        SELECT DISTINCT unnest(patients) FROM interop_exportchunk WHERE job_id = %s AND times_written > 0 AND {also}
    ) AS told (patient) JOIN patients_patient AS patient ON patient.id = told.patient
    ON CONFLICT DO NOTHING"""
# Nor does a merge see what is written down at that moment.
FOLLOW = """
    WITH moved AS (
        DELETE FROM interop_disclosedpatient AS told USING patients_patient AS patient
        WHERE patient.id = told.patient_id AND patient.merged_into_id IS NOT NULL
        RETURNING told.disclosure_id, patient.merged_into_id
    ) INSERT INTO interop_disclosedpatient (disclosure_id, patient_id) SELECT DISTINCT * FROM moved
    ON CONFLICT DO NOTHING"""


def account(job: ExportJob) -> None:
    """Write down all patients of whom the files of an export tell. Safe to run twice."""
    _write(job, NOTE.format(also="TRUE"), [])


def account_told(job: ExportJob) -> None:
    """Write down the patients of those files that were told of or fetched, of an export that did not complete."""
    if job.files.filter(read_until__isnull=False).exists():
        _write(job, NOTE.format(also=TOLD), [job.pk])


def account_ended() -> int:
    """Do so for exports that ended where nobody could; return how many there were.

    One that failed may have told of more when it was tried again. What completed was accounted for as a whole.
    """
    told = ExportFile.objects.filter(job=OuterRef("pk"), read_until__isnull=False)
    more = told.filter(read_until__gt=OuterRef("disclosure__updated_at"))
    whole = Q(status=ExportStatus.EXPIRED, work_state=WorkState.DONE)
    left = list(ExportJob.all_objects.filter(Q(Exists(told), disclosure=None) | Q(Exists(more)) & ~whole, ENDED))
    for job in left:
        account_told(job)
    with connection.cursor() as cursor:
        cursor.execute(FOLLOW)
    return len(left)


@transaction.atomic
def _write(job: ExportJob, note: str, values: list[Any]) -> None:
    asked = Asked.from_json(job.parameters)
    told, _ = Disclosure.objects.get_or_create(
        job=job,
        defaults={
            "recipient": recipient(job),
            "purpose": job.client.purpose if job.client else "",
            "resource_types": sorted({source.type for source in selection.sources_of(job, asked)}),
            "changed_since": asked.since,
        },
    )
    with connection.cursor() as cursor:
        cursor.execute(note, [told.pk, job.pk, *values])
    count = DisclosedPatient.objects.filter(disclosure=told).count()
    Disclosure.objects.filter(pk=told.pk).update(patients_count=count, updated_at=Now())


def recipient(job: ExportJob) -> str:
    if job.client is not None:
        return job.client.name
    if job.requested_by is not None:
        return job.requested_by.full_name or job.requested_by.email
    return COMMAND_LINE
