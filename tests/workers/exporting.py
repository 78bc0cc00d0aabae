"""Exports as they are led, stopped in between and read again; for two files of tests."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from backend.apps.interop.fhir.exports import services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportFile, ExportJob
from workers import fhir_export


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


def begun(asked: Asked, **over: Any) -> ExportJob:
    """Return an export that we lead."""
    services.begin(asked, **over)
    (job,) = ExportJob.work.lease(1)
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
