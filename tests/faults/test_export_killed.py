"""Kills the process that exports at every kind of moment; what comes out must be what it would have been."""

from __future__ import annotations

import gzip
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.utils import timezone

from backend.apps.core.work import LEASE
from backend.apps.interop.fhir.exports import services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import Disclosure, ExportChunk, ExportFile, ExportJob
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from tests.support.export_victim import MOMENTS
from tests.support.stage import Stage
from workers import fhir_export

ROWS, FILES = 2, 3
VICTIM = "from tests.support import export_victim; export_victim.main({!r})"
pytestmark = pytest.mark.timeout(180)


def data_of(job: ExportJob) -> bytes:
    found = []
    for file in ExportFile.objects.filter(job=job):
        with storages["exports"].open(file.path) as stored:
            found.append(gzip.decompress(stored.read()))
    return b"".join(found)


def carried_out(job: ExportJob) -> ExportJob:
    fhir_export.run_due()
    job.refresh_from_db()
    assert job.status == "completed"
    return job


def bury() -> None:
    """Let the leases of the dead run out, which takes half a minute."""
    for model in (ExportJob, ExportChunk):
        model.work.filter(work_state="running").update(leased_until=timezone.now() - LEASE)


def files_in(folder: Path, job: ExportJob) -> set[str]:
    return {str(path.relative_to(folder)) for path in (folder / str(job.pk)).iterdir()}


def test_whenever_the_worker_is_killed_the_files_are_what_they_would_have_been(stage: Stage, settings: Any) -> None:
    folder = stage.folder / "exports"
    kept = {**settings.STORAGES["exports"], "OPTIONS": {"location": folder}}
    settings.STORAGES = {**settings.STORAGES, "exports": kept}
    settings.EXPORT_FILE_ROWS = ROWS
    stage.extra["CARERELAY_EXPORT_FILE_ROWS"] = str(ROWS)
    for _ in range(ROWS * FILES):
        make_patient()
    Patient.objects.update(updated_at=timezone.now() - timedelta(hours=1))  # what changed of late is written again
    asked = Asked(types=("Patient",))
    whole = data_of(carried_out(services.begin(asked)))
    assert whole.count(b"\n") == ROWS * FILES
    for moment in MOMENTS:
        job = services.begin(asked)
        assert stage.start("victim", "-c", VICTIM.format(moment)).wait(60) == -signal.SIGKILL, stage.log("victim")
        assert ExportJob.objects.get(pk=job.pk).status != "completed"
        bury()
        assert data_of(carried_out(job)) == whole, moment
        again = ExportChunk.work.filter(job=job, attempts__gt=1).count()
        assert (again <= 1, ExportChunk.work.filter(job=job, times_written=1).count()) == (True, FILES), moment
        assert files_in(folder, job) == set(ExportFile.objects.filter(job=job).values_list("path", flat=True)), moment
        assert Disclosure.objects.filter(job=job).count() == 1
    call_command("reconcile", "--part", "exports", "--settle-seconds", "0")  # exits otherwise
