"""Proves that files are fetched whole by those who may, cost no memory, and go in time but never under a reader."""

from __future__ import annotations

import asyncio
import gzip
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIRequest
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import downloads, expiry, services
from backend.apps.interop.models import DisclosedPatient, ExportFile
from backend.apps.interop.tests.fhir.export_rows import (
    admin,
    completed,
    make_chunk,
    make_file,
    make_job,
    running,
    system,
)
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db
BODY = b'{"resourceType":"Patient","id":"1"}\n{"resourceType":"Patient","id":"2"}\n' * 20_000


@pytest.fixture(autouse=True)
def _kept_apart(settings: Any, tmp_path: Any) -> None:
    kept = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "exports": kept}


def url(file: ExportFile) -> str:
    return f"/fhir/R4/exports/files/{file.pk}"


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def on_disk(file: ExportFile) -> bool:
    return bool(storages["exports"].exists(file.path))


def test_a_file_comes_as_it_is_kept_or_inflated_on_the_way() -> None:
    api, row = system()
    file = make_file(completed(client=row), BODY)
    packed = api.get(url(file), HTTP_ACCEPT_ENCODING="br, gzip;q=0.5", HTTP_ACCEPT="application/fhir+ndjson")
    assert (packed.status_code, packed["Content-Type"]) == (200, "application/fhir+ndjson")
    assert (packed["Content-Encoding"], packed["Vary"]) == ("gzip", "Accept-Encoding")
    stored = body(packed)
    assert (gzip.decompress(stored), packed["Content-Length"]) == (BODY, str(len(stored)))
    plain = api.get(url(file), HTTP_ACCEPT_ENCODING="gzip;q=0")
    assert "Content-Encoding" not in plain
    assert plain["Content-Length"] == str(len(BODY))
    pieces = list(plain.streaming_content)
    assert b"".join(pieces) == BODY
    assert max(map(len, pieces)) <= downloads.PIECE
    audited = AuditLog.objects.filter(action="export.download", resource_id=str(file.pk)).first()
    assert audited is not None
    assert audited.detail == {"job": str(file.job_id), "type": "Patient", "count": 40_000, "client": str(row.pk)}


def test_under_asgi_a_file_is_read_piece_by_piece() -> None:
    file = make_file(completed(), BODY)
    scope = {"type": "http", "method": "GET", "path": url(file), "headers": []}
    answer: Any = downloads.answer(ASGIRequest(scope, None), file)
    assert answer.is_async

    async def gathered() -> list[bytes]:
        return [piece async for piece in answer.streaming_content]

    pieces = asyncio.run(gathered())
    assert b"".join(pieces) == BODY
    assert len(pieces) > 1


def test_head_tells_the_length_and_sends_nothing() -> None:
    file = make_file(completed())
    answer = admin().head(url(file))
    assert (answer.status_code, answer.content, answer["Content-Length"]) == (200, b"", str(file.size_bytes))


def test_a_token_must_cover_the_type_of_the_file() -> None:
    api, row = system()
    job = completed(client=row, granted=["Patient"])
    kept = make_file(job, chunk=make_chunk(job, 0))
    deleted = make_file(job, chunk=make_chunk(job, 1), kind="deleted", resource_type="Bundle")
    narrow, _ = system("system/Observation.rs", row)
    assert [narrow.get(url(one)).status_code for one in (kept, deleted)] == [403, 403]
    assert [api.get(url(one)).status_code for one in (kept, deleted)] == [200, 200]
    assert system()[0].get(url(kept)).status_code == 404


def test_who_may_have_all_types_of_an_export_may_have_the_files_of_several_and_of_none() -> None:
    """Files of whole patients have no one type, and outcomes are of no type that a scope could name."""
    api, row = system("system/Patient.read system/Observation.read")
    job = completed(client=row, granted=["Observation", "Patient"])
    whole = make_file(job, resource_type="")
    refused = make_file(job, kind="error", resource_type="OperationOutcome")
    ExportFile.objects.filter(pk=refused.pk).update(chunk=None)
    assert [api.get(url(one)).status_code for one in (whole, refused)] == [200, 200]
    assert f'filename="Patients-{whole.pk}.ndjson"' in api.get(url(whole))["Content-Disposition"]
    narrow, _ = system("system/Patient.read", row)
    assert [narrow.get(url(one)).status_code for one in (whole, refused)] == [403, 403]


def test_files_of_an_export_that_runs_are_there_only_where_parts_were_asked_for() -> None:
    closed, open_ = make_file(running()), make_file(running(parameters={"allow_partial": True}))
    failed = make_file(make_job(status="failed"))
    api = admin()
    assert [api.get(url(one)).status_code for one in (closed, open_, failed)] == [404, 200, 404]


def test_files_past_their_time_go_and_say_so() -> None:
    job = completed(expires_at=timezone.now() - timedelta(minutes=6))
    file, kept = make_file(job), make_file(completed())
    assert admin().get(url(file)).status_code == 410
    assert (expiry.expire_due(), expiry.expire_due()) == (1, 0)
    assert (on_disk(file), on_disk(kept)) == (False, True)
    job.refresh_from_db()
    assert (job.status, job.files_removed_at is not None) == ("expired", True)
    answer = admin().get(url(file))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (410, "deleted")


def test_a_file_that_is_being_read_stays_until_its_reader_is_done() -> None:
    job = completed()
    file = make_file(job, BODY)
    answer = admin().get(url(file))
    type(job).objects.update(expires_at=timezone.now() - timedelta(minutes=6))
    assert expiry.expire_due() == 0
    assert body(answer) == BODY
    job.refresh_from_db()
    assert job.status == "completed"
    ExportFile.objects.update(read_until=timezone.now() - timedelta(seconds=1))
    assert expiry.expire_due() == 1
    job.refresh_from_db()
    assert job.status == "expired"


def test_a_long_download_keeps_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "NOTED_EVERY_S", -1)
    file = make_file(completed(), BODY)
    answer = admin().get(url(file))
    ExportFile.objects.update(read_until=timezone.now() - timedelta(seconds=1))
    body(answer)
    file.refresh_from_db()
    assert file.read_until is not None
    assert file.read_until > timezone.now()


def test_what_was_given_up_goes_with_all_that_killed_workers_left() -> None:
    job = running()
    file, busy = make_file(job), make_chunk(job, 7, work_state=WorkState.RUNNING)
    half = storages["exports"].save(f"{job.pk}/half.part", ContentFile(b"half"))
    services.cancel(job)
    assert (expiry.expire_due(), on_disk(file)) == (1, False)
    busy.refresh_from_db()
    job.refresh_from_db()
    assert (busy.work_state, job.work_state, job.files_removed_at) == ("done", "done", None)
    assert not busy.finish(rows=1)
    type(job).objects.update(expires_at=timezone.now() - timedelta(minutes=6))
    assert storages["exports"].exists(half)
    expiry.expire_due()
    job.refresh_from_db()
    assert (job.status, job.files_removed_at is not None) == ("cancelled", True)
    assert not storages["exports"].exists(str(job.pk))


def test_a_file_that_is_missing_on_disk_is_gone_and_is_no_obstacle() -> None:
    job = completed()
    file = make_file(job)
    storages["exports"].delete(file.path)
    assert admin().get(url(file)).status_code == 410
    ExportFile.objects.update(read_until=None)
    type(job).objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expiry.expire_due() == 1


def test_a_file_that_its_storage_does_not_let_go_is_no_obstacle_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "AT_ONCE", 1)
    job = completed(expires_at=timezone.now() - timedelta(minutes=6))
    stuck, *others = [make_file(job) for _ in range(3)]
    storages["exports"].delete(stuck.path)
    storages["exports"].save(f"{stuck.path}/inside", ContentFile(b"a folder that is not empty cannot be removed"))
    assert expiry.expire_due() == 2
    assert [on_disk(one) for one in others] == [False, False]
    job.refresh_from_db()
    assert job.status == "completed"


def test_an_export_of_which_a_file_was_removed_cannot_go_on_and_one_that_goes_on_keeps_its_files() -> None:
    job = make_job(status="failed", work_state=WorkState.FAILED, finished_at=timezone.now() - timedelta(days=8))
    goes_on = make_job(status="failed", work_state=WorkState.FAILED, finished_at=job.finished_at)
    kept, read = make_file(goes_on), make_file(job, read_until=timezone.now() + timedelta(minutes=5))
    services.retry(goes_on)  # after the sweep has looked
    assert (expiry._removed(kept), on_disk(kept)) == (0, True)
    expiry._done_with(goes_on.pk)
    assert on_disk(kept)
    make_file(job)
    assert (expiry.expire_due(), on_disk(read)) == (1, True)
    with pytest.raises(DomainError, match="whose files are still there"):
        services.retry(job)
    job.refresh_from_db()
    assert (job.status, job.work_state) == ("failed", "failed")


def test_an_export_whose_files_are_gone_keeps_no_list_of_patients_but_the_accounting() -> None:
    told, unseen = make_patient(), make_patient()
    job = make_job(status="failed", work_state=WorkState.FAILED, finished_at=timezone.now() - timedelta(days=8))
    read, left = (make_chunk(job, number, patients=[one.pk]) for number, one in enumerate((told, unseen)))
    make_file(job, chunk=read, read_until=timezone.now() - timedelta(days=8))
    kept = make_file(job, chunk=left, read_until=timezone.now() + timedelta(minutes=5))
    assert expiry.expire_due() == 1
    assert job.chunks.exclude(patients=[]).count() == 2
    ExportFile.objects.filter(pk=kept.pk).update(read_until=None)
    assert expiry.expire_due() == 1
    assert job.chunks.exclude(patients=[]).count() == 0
    assert list(DisclosedPatient.objects.values_list("disclosure__job", "patient")) == [(job.pk, told.pk)]


def test_a_failed_export_goes_on_where_it_was() -> None:
    job = make_job(status="failed", work_state=WorkState.DONE, failure="The disk was full.", finished_at=timezone.now())
    done, stuck = make_chunk(job, 0), make_chunk(job, 1, work_state=WorkState.FAILED)
    services.retry(job)
    states = [each.work_state for each in (job, done, stuck) if each.refresh_from_db() is None]
    assert states == ["waiting", "done", "waiting"]
    assert (job.status, job.failure, job.finished_at) == ("accepted", "", None)
    planned = services.retry(make_job(status="failed", work_state=WorkState.FAILED, planned_at=timezone.now()))
    assert (planned.status, planned.work_state) == ("in_progress", "waiting")
