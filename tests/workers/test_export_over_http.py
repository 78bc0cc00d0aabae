"""Proves that what a system fetches over HTTP is what the workers wrote, from the kick-off to the last line."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.interop.models import Disclosure, ExportJob
from backend.apps.interop.tests.fhir.clinical_makers import measured_note
from backend.apps.interop.tests.fhir.export_rows import ASYNC, BASE, LENIENT, system
from backend.apps.laboratory.tests.factories import make_lab_result
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.tests.factories import make_prescription
from workers import fhir_export
from workers.fhir import organizing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung")]


@pytest.fixture(autouse=True)
def _kept_apart(settings: Any, tmp_path: Path) -> None:
    kept = {**settings.STORAGES["exports"], "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "exports": kept}


def local(url: str) -> str:
    assert url.startswith(BASE)
    return url.removeprefix("http://127.0.0.1:8000")


def manifest(api: APIClient, query: str, **headers: Any) -> dict[str, Any]:
    answer = api.get(f"/fhir/R4/$export?{query}", **{**ASYNC, **headers})
    assert answer.status_code == 202, answer.content
    status = local(answer["Content-Location"])
    assert api.get(status).status_code == 202
    fhir_export.run_due()
    found = api.get(status)
    assert found.status_code == 200, found.content
    told: dict[str, Any] = found.json()
    return told


def lines(api: APIClient, item: dict[str, Any]) -> list[dict[str, Any]]:
    answer: Any = api.get(local(item["url"]))
    assert answer.status_code == 200
    body = b"".join(answer.streaming_content)
    found = [json.loads(line) for line in body.decode().splitlines()]
    assert hashlib.sha256(body).hexdigest() == item["extension"]["sha256"]
    assert (len(body), len(found)) == (item["extension"]["sizeBytes"], item["count"])
    return found


def test_a_system_fetches_all_patients_and_what_was_deleted_since() -> None:
    kept, gone = [make_patient() for _ in range(3)], make_patient()
    Patient.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    api, row = system()
    told = manifest(api, "_type=Patient")
    assert {one["id"] for one in lines(api, told["output"][0])} == {str(one.pk) for one in (*kept, gone)}
    assert (told["error"], told["deleted"]) == ([], [])
    Patient.objects.filter(pk=gone.pk).delete()
    kept[0].city = "Boston"
    kept[0].save()
    later = manifest(api, f"_type=Patient&_since={told['transactionTime']}")
    assert [one["id"] for one in lines(api, later["output"][0])] == [str(kept[0].pk)]
    (bundle,) = lines(api, later["deleted"][0])
    assert bundle["entry"] == [{"request": {"method": "DELETE", "url": f"Patient/{gone.pk}"}}]
    assert Disclosure.objects.filter(job__client=row).count() == 2


def test_what_was_left_out_comes_as_an_error_file() -> None:
    make_patient()
    api, _ = system()
    told = manifest(api, "_type=Patient,Zebra&_elements=birthDate&_zebra=1", **LENIENT)
    (patient,) = lines(api, told["output"][0])
    assert patient["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "address" not in patient
    outcomes = lines(api, told["error"][0])
    assert sorted(one["issue"][0]["expression"][0] for one in outcomes) == ["_type", "_zebra"]


def test_files_organized_by_patient_hold_each_whole_behind_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizing, "PATIENTS_AT_ONCE", 2)
    results = [make_lab_result() for _ in range(3)]
    others = [make_patient() for _ in range(2)]
    api, _ = system()
    told = manifest(api, "organizeOutputBy=Patient&_type=Patient,Observation,Practitioner")
    assert told["outputOrganizedBy"] == "Patient"
    by_type = [one["type"] for one in told["output"] if "type" in one]
    found = [line for item in told["output"] if "type" not in item for line in lines(api, item)]
    heads = [place for place, one in enumerate(found) if one["resourceType"] == "Parameters"]
    blocks = [found[start:end] for start, end in zip(heads, [*heads[1:], len(found)], strict=True)]
    whole = {block[0]["parameter"][0]["valueReference"]["reference"]: block[1:] for block in blocks}
    expected = {f"Patient/{one.lab_order.patient_id}": 2 for one in results} | {
        f"Patient/{one.pk}": 1 for one in others
    }
    assert {name: len(block) for name, block in whole.items()} == expected
    for name, block in whole.items():
        assert f"Patient/{block[0]['id']}" == name
        assert {one["subject"]["reference"] for one in block[1:]} <= {name}
    assert set(by_type) == {"Practitioner"}
    assert len(told["output"]) - len(by_type) == 3


def test_associated_provenance_is_that_of_what_is_exported() -> None:
    make_lab_result()
    make_prescription(status="cancelled")
    wanted, soap = make_prescription(status="active"), measured_note()
    api, _ = system()
    both = "includeAssociatedData=LatestProvenanceResources,RelevantProvenanceResources"
    told = manifest(api, f"_type=MedicationRequest,Composition&_typeFilter=MedicationRequest%3Fstatus%3Dactive&{both}")
    found = [line for one in told["output"] if one["type"] == "Provenance" for line in lines(api, one)]
    assert sorted(one["id"] for one in found) == sorted([str(wanted.pk), str(soap.clinical_note_id)])


def test_a_token_for_one_type_gets_that_type_only() -> None:
    make_patient()
    api, _ = system("system/Patient.read")
    told = manifest(api, "")
    assert {one["type"] for one in told["output"]} == {"Patient"}
    assert ExportJob.objects.get().status == "completed"
