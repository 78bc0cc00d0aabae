"""Holds bulk exports: what is in the files, which state of the database they show, what becomes of them when it fails."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from backend.apps.interop.fhir.exports import services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportFile, ExportJob
from backend.apps.patients.tests.factories import make_patient
from workers import fhir_export

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung", "folder")]


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    where = tmp_path / "exports"
    settings.STORAGES = {
        **settings.STORAGES,
        "exports": {**settings.STORAGES["exports"], "OPTIONS": {"location": where}},
    }
    return where


def carried_out(asked: Asked, **over: Any) -> ExportJob:
    job = services.begin(asked, **over)
    fhir_export.run_due()
    job.refresh_from_db()
    return job


def lines(job: ExportJob, kind: str = "output") -> list[dict[str, Any]]:
    """Return what is in the files of an export; each file is what its row says."""
    found = []
    for file in ExportFile.objects.filter(job=job, kind=kind):
        with storages["exports"].open(file.path) as stored:
            packed = stored.read()
        data = gzip.decompress(packed)
        told = (file.count, file.size_bytes, file.stored_bytes, file.sha256)
        assert told == (data.count(b"\n"), len(data), len(packed), hashlib.sha256(data).hexdigest())
        found += [json.loads(line) for line in data.splitlines()]
    return found


def test_files_hold_each_resource_once_cut_by_count(settings: Any) -> None:
    settings.EXPORT_FILE_ROWS = 2
    patients = {str(make_patient(medical_record_number=f"M{place}").pk) for place in range(5)}
    job = carried_out(Asked(types=("Patient",)))
    assert (job.status, job.work_state, job.rows_total, job.rows_done) == ("completed", "done", 5, 5)
    assert Counter(line["id"] for line in lines(job)) == Counter(patients)
    assert [file.count for file in ExportFile.objects.filter(job=job)] == [2, 2, 1]
