"""Proves that what documents point at is handed to who may see them, as it is or as FHIR, and to nobody else."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from rest_framework.test import force_authenticate

from backend.apps.clinical_notes.tests.factories import make_note, make_soap
from backend.apps.core.models import AuditLog
from backend.apps.interop.fhir.binaries import Binaries
from backend.apps.interop.tests.fhir.makers_of_papers import signed_note
from backend.apps.interop.tests.fhir.systems import bearer, make_system
from backend.apps.laboratory.models import LabResult
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_result
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.fhir.checking import faults
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7 " + bytes(range(256)) * 1_000


def binary(pk: Any, user: Any, **headers: str) -> Any:
    return client_for(user).get(f"/fhir/R4/Binary/{pk}", headers=headers)


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def result_of(patient: Any, **over: Any) -> LabResult:
    """Save a result with a document of 256 kB."""
    file = ContentFile(PDF, name="report.pdf")
    return make_lab_result(lab_order=make_lab_order(patient=patient), status="final", file_attachment=file, **over)


def test_a_signed_note_is_its_text_and_a_download() -> None:
    note, nurse = signed_note(), make_user(role="nurse")
    answer = binary(note.pk, nurse, Accept="*/*")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="note-{note.pk}.txt"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    text = body(answer).decode()
    assert "Cough for three days, no fever." in text
    assert 'Objective\nBP <120/80> & "stable"' in text
    rows = AuditLog.objects.filter(user=nurse).values_list("action", "resource_type", "resource_id", "patient_id")
    assert list(rows) == [("download", "Binary", str(note.pk), note.patient_id)]


def test_who_asks_for_fhir_gets_the_file_in_a_binary() -> None:
    result = result_of(make_patient())
    answer = binary(result.pk, make_user(role="lab_tech"), Accept="application/fhir+json")
    assert answer["Content-Type"] == "application/fhir+json"
    told = json.loads(body(answer))
    assert base64.b64decode(told["data"]) == PDF
    assert told["contentType"] == "application/pdf"
    assert told["securityContext"] == {"reference": f"DocumentReference/{result.pk}"}
    assert faults(told) == []


@pytest.mark.parametrize("accept", ["application/pdf", "application/fhir+json"])
def test_under_asgi_a_document_is_read_piece_by_piece(accept: str) -> None:
    result = result_of(make_patient())
    headers = [(b"accept", accept.encode())]
    request = ASGIRequest({"type": "http", "method": "GET", "path": "/", "headers": headers}, None)
    force_authenticate(request, make_user(role="lab_tech"))
    answer: Any = Binaries.as_view()(request, fhir_id=str(result.pk))
    assert (answer.status_code, answer.is_async) == (200, True)

    async def gathered() -> list[bytes]:
        return [piece async for piece in answer.streaming_content]

    pieces = asyncio.run(gathered())
    told = b"".join(pieces)
    assert (told if "pdf" in accept else base64.b64decode(json.loads(told)["data"])) == PDF
    assert len(pieces) > 1


@pytest.mark.parametrize(("accept", "length"), [("*/*", str(len(PDF))), ("application/fhir+json", None)])
def test_head_reads_no_document_and_leaves_none_open(
    accept: str, length: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, opened = result_of(make_patient()), []
    monkeypatch.setattr(
        "backend.apps.interop.fhir.binaries._opened", lambda found: opened.append(found.open()) or opened[0]
    )
    answer = client_for(make_user(role="lab_tech")).head(f"/fhir/R4/Binary/{result.pk}", headers={"Accept": accept})
    assert (answer.status_code, body(answer), answer.get("Content-Length")) == (200, b"", length)
    assert opened[0].closed


def test_a_patient_has_the_released_documents_of_his_own_and_no_others() -> None:
    user = make_user(role="patient")
    patient = make_patient(user=user)
    result = result_of(patient)
    assert binary(result.pk, user).status_code == 404
    result.verify(make_user(role="lab_tech"))
    answer = binary(result.pk, user)
    assert (answer["Content-Type"], body(answer)) == ("application/pdf", PDF)
    other = make_user(role="patient")
    make_patient(user=other)
    assert binary(result.pk, other).status_code == 404
    assert binary(signed_note().pk, user).status_code == 404


def test_a_draft_is_no_document_for_anybody() -> None:
    note = make_note()
    make_soap(clinical_note=note)
    for role in ("admin", "nurse"):
        answer = binary(note.pk, make_user(role=role))
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (404, "not-found")


@pytest.mark.parametrize("role", ["receptionist", "pharmacist"])
def test_who_has_no_notes_and_no_results_is_refused_and_that_is_written_down(role: str) -> None:
    note, user = signed_note(), make_user(role=role)
    answer = binary(note.pk, user)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "forbidden")
    assert AuditLog.objects.get(user=user).outcome == "refused"
    if role == "pharmacist":
        assert binary(note.pk, make_user(role="lab_tech")).status_code == 404  # has results, and this is none


def test_a_note_gives_away_no_file_for_its_path_is_what_somebody_wrote() -> None:
    note, nurse = signed_note(), make_user(role="nurse")
    default_storage.delete("notes/2026/scan.pdf")
    default_storage.save("notes/2026/scan.pdf", ContentFile(PDF))
    for place in ("1", "2", "3", "4", "0", "1-1"):
        assert binary(f"{note.pk}-{place}", nurse).status_code == 404, place
    default_storage.delete("notes/2026/scan.pdf")


def test_no_document_of_a_patient_who_was_removed_is_handed_out() -> None:
    note, nurse, patient = signed_note(), make_user(role="nurse"), make_patient()
    result = result_of(patient)
    for row, whose in ((note, note.patient), (result, patient)):
        whose.delete()
        assert binary(row.pk, nurse).status_code == 404


def test_a_system_needs_a_scope_that_covers_documents() -> None:
    note = signed_note()
    for scope, status in (("system/Patient.rs", 403), ("system/DocumentReference.rs", 200), ("system/Binary.r", 200)):
        system = make_system()
        answer = bearer(system.token(scope), f"/fhir/R4/Binary/{note.pk}")
        assert answer.status_code == status, scope
        noted = AuditLog.objects.filter(resource_type="Binary", detail__client=str(system.row.pk)).get()
        assert noted.outcome == ("allowed" if status == 200 else "refused")


def test_a_form_that_we_do_not_have_is_refused() -> None:
    answer = binary(signed_note().pk, make_user(role="nurse"), Accept="application/fhir+xml")
    assert answer.status_code == 406
