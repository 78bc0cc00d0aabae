"""Exports in any state, their files on disk, and callers of each kind; for four files of tests."""

from __future__ import annotations

import gzip
import hashlib
from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.core.bases import uuid7
from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.smart import tokens
from backend.apps.interop.fhir.smart.scopes import BY_NAME_ONLY
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.models import DisclosedPatient, Disclosure, ExportChunk, ExportFile, ExportJob, SmartClient
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.patients.models import Patient
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

BASE = "http://127.0.0.1:8000/fhir/R4"
ASYNC = {"HTTP_PREFER": "respond-async"}
LENIENT = {"HTTP_PREFER": "respond-async, handling=lenient"}


def system(scope: str = "system/*.read", row: SmartClient | None = None) -> tuple[APIClient, SmartClient]:
    """Return a client that holds a token of a system, and the system."""
    row = row or make_system().row
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(row.pk, scope.split(), now=timezone.now())}")
    return api, row


def admin(user: User | None = None) -> APIClient:
    return client_for(user or make_user("admin"))


def make_job(**over: Any) -> ExportJob:
    granted = sorted(set(SOURCES) - BY_NAME_ONLY) if over.get("client") else []
    fields = {"level": "system", "request_url": f"{BASE}/$export", "base_url": BASE, "granted": granted, **over}
    return ExportJob.work.create(dedupe_key=f"export:{uuid7()}", **fields)


def completed(**over: Any) -> ExportJob:
    now = timezone.now()
    ended = {"planned_at": now, "transaction_time": now, "finished_at": now, "expires_at": now + timedelta(days=1)}
    return make_job(**{"status": "completed", "work_state": WorkState.DONE, **ended, **over})


def running(**over: Any) -> ExportJob:
    now = timezone.now()
    begun = {"planned_at": now - timedelta(seconds=10), "transaction_time": now, "rows_total": 200, "rows_done": 90}
    return make_job(**{"status": "in_progress", "work_state": WorkState.RUNNING, **begun, **over})


def make_disclosure(*patients: Patient) -> Disclosure:
    """Save that a completed export held something of these patients."""
    told = Disclosure.objects.create(job=completed(), recipient="A registry")
    for patient in patients:
        DisclosedPatient.objects.create(disclosure=told, patient=patient)
    return told


def make_chunk(job: ExportJob, number: int = 0, **over: Any) -> ExportChunk:
    fields = {"source": "patient", "work_state": WorkState.DONE, **over}
    fields.setdefault("times_written", int(fields["work_state"] == WorkState.DONE))
    return ExportChunk.work.create(job=job, number=number, dedupe_key=f"chunk:{uuid7()}", **fields)


def make_file(job: ExportJob, body: bytes = b'{"resourceType":"Patient"}\n', **over: Any) -> ExportFile:
    """Save a file and keep its bytes as the workers do."""
    chunk = over.pop("chunk", None) or make_chunk(job, number=job.chunks.count())
    stored = gzip.compress(body)
    path = storages["exports"].save(f"{job.pk}/{uuid7()}.ndjson.gz", ContentFile(stored))
    fields: dict[str, Any] = {
        "resource_type": "Patient",
        "count": body.count(b"\n"),
        "size_bytes": len(body),
        "stored_bytes": len(stored),
        "sha256": hashlib.sha256(body).hexdigest(),
        **over,
    }
    return ExportFile.objects.create(job=job, chunk=chunk, path=path, **fields)
