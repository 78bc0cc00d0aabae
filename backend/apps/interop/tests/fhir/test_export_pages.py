"""Proves that an administrator sees, begins, stops, repeats and fetches exports at a browser, and nobody else does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import AuditLog, Clinic
from backend.apps.core.work import WorkState
from backend.apps.interop import export_pages
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportJob, PatientGroup
from backend.apps.interop.tests.fhir.export_rows import BASE, completed, make_file, make_job, running, system
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
EXPORTS = "/console/exports/"


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.status_code
    return " ".join(answer.content.decode().split())


def said(client: Client, url: str, **form: Any) -> str:
    answer = client.post(url, form, follow=True)
    assert answer.status_code == 200, answer.status_code
    return " ".join(answer.content.decode().split())


@pytest.mark.parametrize("role", ["doctor", "nurse", "receptionist", "lab_tech", "pharmacist"])
def test_only_administrators_have_the_pages(role: str) -> None:
    client, job = signed_in(role), completed()
    assert "console/exports" not in page(client, "/console/")
    assert [client.get(url).status_code for url in (EXPORTS, f"{EXPORTS}{job.pk}/")] == [403, 403]
    assert [client.post(f"{EXPORTS}{end}").status_code for end in ("new/", f"{job.pk}/cancel/")] == [403, 403]
    assert ExportJob.objects.filter(status="completed").count() == 1


def test_a_running_export_is_shown_with_its_progress_and_looks_again() -> None:
    client, job = signed_in("admin"), running(client=system()[1])
    told = page(client, EXPORTS)
    assert "45 % of about 200 resources" in told
    assert 'data-again="5"' in told
    shown = page(client, f"{EXPORTS}{job.pk}/")
    assert '<progress max="200" value="90"' in shown
    assert (">Stop<" in shown, ">Try again<" in shown, 'data-again="3"' in shown) == (True, False, True)
    assert job.client is not None
    assert job.client.name in shown


def test_an_export_is_begun_with_kinds_of_data_and_a_day() -> None:
    client = signed_in("admin")
    told = said(client, f"{EXPORTS}new/", level="patient", type=["Patient"], since="2026-01-31")
    assert "The export is in line." in told
    job = ExportJob.objects.get()
    asked = Asked.from_json(job.parameters)
    assert (job.level, asked.types, job.status, job.work_state) == ("patient", ("Patient",), "accepted", "waiting")
    assert asked.since is not None
    assert asked.since.astimezone(Clinic.current().zone).time().isoformat() == "00:00:00"
    assert job.request_url.startswith(f"{BASE}/Patient/$export?_since=2026-01-31T00%3A00%3A00")
    assert AuditLog.objects.filter(action="console.create", resource_id=str(job.pk)).exists()
    assert "still running" in said(client, f"{EXPORTS}new/", level="system")
    assert ExportJob.objects.count() == 1


def test_a_group_is_exported_by_name() -> None:
    client, group = signed_in("admin"), PatientGroup.objects.create(name="Asthma panel")
    assert "Asthma panel" in page(client, EXPORTS)
    said(client, f"{EXPORTS}new/", level="group", group=str(group.pk))
    assert ExportJob.objects.get().group == group
    assert "the group Asthma panel" in page(client, EXPORTS)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({}, "Choose what to export"),
        ({"level": "group"}, "Choose what to export"),
        ({"level": "system", "type": "Zebra"}, "that are listed"),
        ({"level": "system", "since": "31.1.2026"}, "Give the day"),
        ({"level": "system", "since": "0001-01-01"}, "of the years 1900 to 2999"),
        ({"level": "patient", "type": "Group"}, "names all its members"),
        ({"level": "system", "since": (timezone.now() + timedelta(days=2)).date().isoformat()}, "in the future"),
    ],
)
def test_a_form_that_is_not_right_is_told_in_a_sentence(form: dict[str, str], why: str) -> None:
    assert why in said(signed_in("admin"), f"{EXPORTS}new/", **form)
    assert not ExportJob.objects.exists()


def test_a_finished_export_offers_its_files_which_can_be_deleted() -> None:
    client, job = signed_in("admin"), completed()
    file = make_file(job)
    told = page(client, f"{EXPORTS}{job.pk}/")
    assert f'href="/fhir/R4/exports/files/{file.pk}"' in told
    assert file.sha256 in told
    answer: Any = client.get(f"/fhir/R4/exports/files/{file.pk}", HTTP_ACCEPT="text/html,*/*;q=0.8")
    assert b"".join(answer.streaming_content) == b'{"resourceType":"Patient"}\n'
    assert "attachment" in answer["Content-Disposition"]
    assert "can no longer be fetched" in said(client, f"{EXPORTS}{job.pk}/cancel/")
    assert str(file.pk) not in page(client, f"{EXPORTS}{job.pk}/")
    assert client.get(f"/fhir/R4/exports/files/{file.pk}").status_code == 404
    assert "gone already" in said(client, f"{EXPORTS}{job.pk}/cancel/")


def test_files_come_in_parts_and_past_their_time_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_pages, "MOST_FILES", 2)
    client, job = signed_in("admin"), completed()
    files = [make_file(job) for _ in range(3)]
    shown = page(client, f"{EXPORTS}{job.pk}/"), page(client, f"{EXPORTS}{job.pk}/?part=2")
    assert [[str(file.pk) in one for file in files] for one in shown] == [[True, True, False], [False, False, True]]
    assert "3 files" in shown[0]
    assert 'href="?part=2"' in shown[0]
    assert "There is no such part" in page(client, f"{EXPORTS}{job.pk}/?part=99")
    ExportJob.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    told = page(client, f"{EXPORTS}{job.pk}/")
    assert ("It has expired" in told, "There was nothing to export" in told) == (True, False)


def test_a_failed_export_says_why_and_is_tried_again() -> None:
    client = signed_in("admin")
    why = "1 of 2 parts could not be written, of Patient."
    job = make_job(status="failed", failure=why, work_state=WorkState.FAILED, finished_at=timezone.now())
    assert why in page(client, EXPORTS)
    shown = page(client, f"{EXPORTS}{job.pk}/")
    assert (why in shown, ">Try again<" in shown) == (True, True)
    assert "In line again" in said(client, f"{EXPORTS}{job.pk}/retry/")
    job.refresh_from_db()
    assert (job.status, job.work_state, job.failure) == ("accepted", "waiting", "")
    assert "Only an export that failed" in said(client, f"{EXPORTS}{job.pk}/retry/")


def test_what_can_no_longer_go_on_is_not_offered_to_be_tried_again() -> None:
    client, now = signed_in("admin"), timezone.now()
    bare, some = (make_job(status="failed", work_state=WorkState.FAILED, finished_at=now) for _ in range(2))
    ExportJob.objects.filter(pk=bare.pk).update(files_removed_at=now)
    make_file(some, removed_at=now)
    for job in (bare, some):
        assert ">Try again<" not in page(client, f"{EXPORTS}{job.pk}/")


def test_the_list_costs_the_same_for_many() -> None:
    client = signed_in("admin")
    completed(client=system()[1])
    page(client, EXPORTS)
    with CaptureQueriesContext(connection) as few:
        page(client, EXPORTS)
    for _ in range(3):
        completed(client=system()[1])
    with CaptureQueriesContext(connection) as many:
        page(client, EXPORTS)
    assert len(many) == len(few) <= 12
