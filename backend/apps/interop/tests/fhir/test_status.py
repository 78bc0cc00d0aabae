"""Proves that whoever asked for an export learns how far it is and where its files are, and nobody else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from django.utils.http import parse_http_date

from backend.apps.core.models import AuditLog
from backend.apps.core.work import WorkState
from backend.apps.interop.models import Disclosure, ExportJob
from backend.apps.interop.tests.fhir.export_rows import (
    ASYNC,
    BASE,
    admin,
    completed,
    make_chunk,
    make_file,
    make_job,
    running,
    system,
)
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def url(job: ExportJob) -> str:
    return f"/fhir/R4/exports/{job.pk}"


def code(answer: Any, status: int) -> str:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/fhir+json"), answer.content
    return str(answer.json()["issue"][0]["code"])


def test_a_running_export_tells_how_far_it_is_and_when_to_ask_again() -> None:
    api, row = system()
    job = running(client=row)
    answer = api.get(url(job))
    assert (answer.status_code, answer["X-Progress"]) == (202, "45 % of about 200 resources")
    assert 1 <= int(answer["Retry-After"]) <= 30
    assert answer.content == b""
    assert code(api.get(url(job)), 429) == "throttled"
    ExportJob.objects.update(polled_at=timezone.now() - timedelta(seconds=5))
    assert api.get(url(job)).status_code == 202
    job.refresh_from_db()
    assert job.polls == 2
    audited = AuditLog.objects.filter(action="export.status", resource_id=str(job.pk))
    assert sorted(audited.values_list("detail__status", flat=True)) == [202, 202, 429]


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({}, "waiting in line"),
        ({"transaction_time": timezone.now()}, "counting the resources"),
        ({"transaction_time": timezone.now(), "planned_at": timezone.now()}, "writing the manifest"),
    ],
)
def test_progress_is_told_before_anything_is_written(over: dict[str, Any], told: str) -> None:
    assert admin().get(url(make_job(**over)))["X-Progress"] == told


def test_a_finished_export_answers_its_manifest() -> None:
    api, row = system()
    moment = datetime(2026, 1, 31, 8, 0, 0, 123999, UTC)
    job = completed(client=row, transaction_time=moment, request_url=f"{BASE}/$export?_type=Patient")
    file = make_file(job)
    gone = make_file(job, kind="deleted", resource_type="Bundle")
    wrong = make_file(job, kind="error", resource_type="OperationOutcome")
    answer = api.get(url(job), HTTP_ACCEPT="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert job.expires_at is not None
    assert parse_http_date(answer["Expires"]) == int(job.expires_at.timestamp())
    told = answer.json()
    assert [told.pop(name)[0]["url"] for name in ("deleted", "error")] == [
        f"{BASE}/exports/files/{gone.pk}",
        f"{BASE}/exports/files/{wrong.pk}",
    ]
    assert told == {
        "transactionTime": "2026-01-31T08:00:00.123Z",
        "request": f"{BASE}/$export?_type=Patient",
        "requiresAccessToken": True,
        "output": [
            {
                "type": "Patient",
                "url": f"{BASE}/exports/files/{file.pk}",
                "count": 1,
                "extension": {"sha256": file.sha256, "sizeBytes": file.size_bytes},
            }
        ],
    }


def test_an_export_of_nothing_has_empty_lists() -> None:
    told = admin().get(url(completed())).json()
    assert (told["output"], told["deleted"], told["error"]) == ([], [], [])


def test_a_failed_export_is_an_error_with_its_sentence() -> None:
    answer = admin().get(url(make_job(status="failed", failure="The disk is full.")))
    assert (code(answer, 500), answer.json()["issue"][0]["diagnostics"]) == ("exception", "The disk is full.")
    assert code(admin().get(url(running(work_state=WorkState.HELD))), 500) == "exception"


def test_a_status_told_apart_comes_with_a_plain_200() -> None:
    api, row = system()
    answer = api.get("/fhir/R4/$export", HTTP_PREFER="respond-async,separate-export-status")
    assert answer["Preference-Applied"] == "respond-async, separate-export-status"
    job = ExportJob.objects.get(client=row)
    seen = api.get(url(job))
    assert (seen.status_code, seen["X-Export-Status"], "X-Progress" in seen) == (200, "202 Accepted", True)
    ExportJob.objects.update(status="failed")
    seen = api.get(url(job))
    assert (seen.status_code, seen["X-Export-Status"]) == (200, "500 Internal Server Error")


def test_parts_are_told_while_the_export_runs_and_each_page_stays_as_it_was() -> None:
    job = running(parameters={"allow_partial": True})
    chunks = [make_chunk(job, number, work_state=state) for number, state in enumerate(["done", "done", "running"], 1)]
    early, late = make_file(job, chunk=chunks[1]), make_file(job, chunk=make_chunk(job, 4))
    api = admin()
    page = api.get(url(job)).json()
    assert [one["url"][-36:] for one in page["output"]] == [str(early.pk)]
    assert page["link"] == [{"relation": "next", "url": f"{BASE}/exports/{job.pk}?page=3"}]
    assert api.get(f"{url(job)}?page=3").status_code == 202
    between = make_file(job, chunk=chunks[2])
    type(chunks[2]).work.update(work_state=WorkState.DONE)
    ended = {"status": "completed", "finished_at": timezone.now(), "expires_at": timezone.now() + timedelta(days=1)}
    ExportJob.objects.update(**ended)
    last = make_file(job, chunk=chunks[0], kind="error", resource_type="OperationOutcome")
    type(last).objects.filter(pk=last.pk).update(chunk=None)
    assert api.get(url(job)).json() == page
    following, told = page, []
    while "link" in following:
        following = api.get(following["link"][0]["url"].removeprefix("http://127.0.0.1:8000")).json()
        told.append([one["url"][-36:] for one in (*following["output"], *following["error"])])
    assert told == [[str(between.pk)], [str(late.pk)], [str(last.pk)]]
    assert code(api.get(f"{url(job)}?page=x"), 400) == "invalid"


def test_a_part_of_an_export_that_runs_comes_with_how_far_it_is_and_counts_as_told() -> None:
    job = running(parameters={"allow_partial": True})
    file = make_file(job)
    make_chunk(job, 9, work_state=WorkState.RUNNING)
    api = admin()
    for _ in range(2):  # a reader that follows links may be quick
        answer = api.get(url(job))
        assert (answer.status_code, answer["Content-Type"]) == (202, "application/json")
        assert (len(answer.json()["output"]), answer["X-Progress"]) == (1, "45 % of about 200 resources")
        assert int(answer["Retry-After"]) > 0
    file.refresh_from_db()
    assert file.read_until is not None
    assert code(api.delete(url(job)), 202) == "informational"
    assert Disclosure.objects.filter(job=job).exists()
    apart = running(parameters={"allow_partial": True, "separate_status": True})
    make_file(apart)
    answer = api.get(url(apart))
    assert (answer.status_code, answer["X-Export-Status"]) == (200, "202 Accepted")


def test_without_leave_for_parts_nothing_is_told_before_the_end() -> None:
    job = running()
    make_file(job)
    assert admin().get(url(job)).status_code == 202


def test_only_the_asker_and_administrators_see_an_export() -> None:
    (api, row), (stranger, _) = system(), system()
    job = completed(client=row)
    assert code(stranger.get(url(job)), 404) == "not-found"
    assert code(stranger.delete(url(job)), 404) == "not-found"
    assert code(client_for(make_user("doctor")).get(url(job)), 403) == "forbidden"
    assert code(client_for(None).get(url(job)), 401) == "login"
    assert code(api.get(f"/fhir/R4/exports/{uuid4()}"), 404) == "not-found"
    assert (api.get(url(job)).status_code, admin().get(url(job)).status_code) == (200, 200)
    narrow, _ = system("system/Patient.rs", row)
    assert code(narrow.get(url(job)), 403) == "forbidden"
    of_patients = completed(client=row, granted=["Patient"])
    assert narrow.get(url(of_patients)).status_code == 200


def test_an_export_that_was_given_up_is_not_found_any_more() -> None:
    api, row = system()
    job = running(client=row)
    file = make_file(job)
    answer = api.delete(url(job))
    assert code(answer, 202) == "informational"
    assert code(api.get(url(job)), 404) == "not-found"
    assert code(api.delete(url(job)), 404) == "not-found"
    assert code(api.get(f"/fhir/R4/exports/files/{file.pk}"), 404) == "not-found"
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert AuditLog.objects.filter(action="export.cancel", outcome="allowed", resource_id=str(job.pk)).exists()
    assert api.get("/fhir/R4/$export", **ASYNC).status_code == 202


def test_an_expired_export_says_so() -> None:
    assert code(admin().get(url(completed(status="expired"))), 410) == "deleted"
    not_swept_yet = completed(expires_at=timezone.now() - timedelta(seconds=1))
    assert code(admin().get(url(not_swept_yet)), 410) == "deleted"
