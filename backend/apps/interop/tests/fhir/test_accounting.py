"""Proves that the accounting names whom an export told of also when that ended twice, or beside a merge of records."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import accounting, services
from backend.apps.interop.models import DisclosedPatient, Disclosure, ExportFile, ExportJob
from backend.apps.interop.tests.fhir.export_rows import completed, make_chunk, make_disclosure, make_file, make_job
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db


def disclosed(job: ExportJob) -> set[Patient]:
    return set(
        Patient.all_objects.filter(pk__in=DisclosedPatient.objects.filter(disclosure__job=job).values("patient"))
    )


def written(job: ExportJob, number: int, patient: Patient) -> ExportFile:
    return make_file(job, chunk=make_chunk(job, number, patients=[patient.pk]))


def tell(file: ExportFile) -> None:
    ExportFile.objects.filter(pk=file.pk).update(read_until=timezone.now())


def test_what_was_told_after_an_export_failed_and_was_tried_again_is_accounted_for_as_well() -> None:
    first, second, unseen = (make_patient() for _ in range(3))
    job = make_job(status="failed", work_state=WorkState.FAILED, finished_at=timezone.now())
    files = [written(job, number, patient) for number, patient in enumerate((first, second, unseen))]
    tell(files[0])
    accounting.account_told(job)
    Disclosure.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    ExportFile.objects.filter(pk=files[0].pk).update(read_until=timezone.now() - timedelta(minutes=2))
    services.retry(job)
    tell(files[1])
    assert accounting.account_ended() == 0
    ExportJob.objects.update(status="failed", work_state=WorkState.HELD)
    assert (accounting.account_ended(), accounting.account_ended()) == (1, 0)
    assert disclosed(job) == {first, second}
    assert job.disclosure.patients_count == 2


def test_an_export_that_completed_is_accounted_for_once_whenever_its_files_are_read() -> None:
    job = completed()
    tell(written(job, 1, make_patient()))
    accounting.account(job)
    Disclosure.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    ExportJob.objects.update(status="expired")
    assert accounting.account_ended() == 0


def test_who_was_merged_at_the_moment_of_the_accounting_is_told_of_where_the_record_went() -> None:
    gone, into = make_patient(), make_patient()
    both, one = make_disclosure(gone, into), make_disclosure(gone)
    Patient.objects.filter(pk=gone.pk).update(merged_into=into, is_deleted=True, deleted_at=timezone.now())
    accounting.account_ended()
    assert [disclosed(each.job) for each in (both, one)] == [{into}, {into}]
