"""Proves what a page of a search brings along, in which order, and that several tables answer as one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from backend.apps.interop.fhir.sources.vital_signs import VALUES
from backend.apps.interop.tests.fhir.clinical_makers import measured_note
from backend.apps.laboratory.models import LabOrder
from backend.apps.laboratory.tests.factories import NOON, make_lab_order, make_lab_result
from backend.apps.patients.models import Patient
from backend.apps.prescriptions.tests.factories import make_prescription
from backend.apps.users.tests.factories import make_user
from integrations.fhir.checking import faults
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
FHIR = "/fhir/R4"


@pytest.fixture
def api() -> APIClient:
    return client_for(make_user(role="admin"))


def body_of(api: APIClient, query: str) -> dict[str, Any]:
    answer = api.get(f"{FHIR}/{query}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def resources(bundle: dict[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]


def pages(api: APIClient, query: str) -> list[list[dict[str, Any]]]:
    bundle = body_of(api, query)
    found = [resources(bundle)]
    while following := [one["url"] for one in bundle["link"] if one["relation"] == "next"]:
        bundle = body_of(api, following[0].partition("/fhir/R4/")[2])
        found.append(resources(bundle))
    return found


def findings(patient: Patient | None = None) -> tuple[LabOrder, Patient]:
    """Save a note with eight vital signs and three results of the same patient."""
    note = measured_note().clinical_note
    order = make_lab_order(patient=note.patient)
    for place, later in enumerate((timedelta(), timedelta(days=-1), timedelta(milliseconds=500))):
        make_lab_result(lab_order=order, code_as_sent=f"{place + 1}-8", result_date=NOON + later)
    return order, note.patient


def test_results_and_vital_signs_are_one_search_whose_pages_hold_each_once(api: APIClient) -> None:
    _, patient = findings()
    found = pages(api, f"Observation?patient={patient.pk}&_count=4")
    assert [len(page) for page in found] == [4, 4, 3]
    ids = [one["id"] for page in found for one in page]
    assert len(set(ids)) == 11
    kinds = {one["id"][37:] for page in found for one in page if len(one["id"]) < 64}
    assert kinds == set(VALUES)
    assert body_of(api, f"Observation?patient={patient.pk}&_count=4")["total"] == 11


def test_the_observations_of_a_patient_are_found_by_kind_code_day_and_status(api: APIClient) -> None:
    _, patient = findings()
    for query, number in (
        ("category=laboratory", 3),
        ("category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs", 8),
        ("code=http://loinc.org|8867-4", 1),
        ("code=8867-4,29463-7", 2),
        ("category=vital-signs&code:not=8867-4", 7),
        ("date=2999", 0),
        ("status=final", 11),
    ):
        bundle = body_of(api, f"Observation?patient=Patient/{patient.pk}&{query}&_count=100")
        assert (len(resources(bundle)), bundle["total"]) == (number, number), query


def test_a_sorted_search_runs_through_all_tables_in_order_of_time(api: APIClient) -> None:
    _, patient = findings()
    found = pages(api, f"Observation?patient={patient.pk}&_sort=-date&_count=3")
    times = [datetime.fromisoformat(one["effectiveDateTime"]) for page in found for one in page]
    assert len(times) == 11
    assert times == sorted(times, reverse=True)
    refused = api.get(f"{FHIR}/Observation?_sort=date")
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (400, "too-costly")


def test_a_search_brings_along_what_is_named_and_what_names_it(api: APIClient) -> None:
    prescription = make_prescription()
    query = f"MedicationRequest?patient={prescription.patient_id}&_include=MedicationRequest:medication"
    bundle = body_of(api, f"{query}&_include=MedicationRequest:requester&_revinclude=Provenance:target")
    beside = [f"{one['resourceType']}/{one['id']}" for one in resources(bundle, "include")]
    assert sorted(beside) == sorted(
        [
            f"Medication/{prescription.medication_id}",
            f"Practitioner/{prescription.doctor_id}",
            f"Provenance/{prescription.pk}",
        ]
    )
    assert bundle["total"] == 1
    assert faults(bundle) == []


def test_an_address_of_ours_is_a_reference_and_another_servers_is_none(api: APIClient) -> None:
    order, patient = findings()
    own = f"http://127.0.0.1:8000/fhir/R4/Patient/{patient.pk}"
    assert len(resources(body_of(api, f"ServiceRequest?patient={own}"))) == 1
    assert api.get(f"{FHIR}/ServiceRequest?patient=https://other.example/fhir/Patient/{patient.pk}").status_code == 400
    assert resources(body_of(api, f"ServiceRequest?subject:Patient={order.patient_id}"))
    assert resources(body_of(api, "ServiceRequest?patient=Practitioner/1")) == []


def test_a_search_costs_the_same_few_queries_for_two_rows_and_for_twenty(api: APIClient) -> None:
    order, patient = findings()
    url = f"{FHIR}/Observation?patient={patient.pk}&category=laboratory"
    api.get(url)
    with CaptureQueriesContext(connection) as few:
        api.get(url)
    for day in range(17):
        make_lab_result(lab_order=order, code_as_sent=f"{day + 10}-8")
    with CaptureQueriesContext(connection) as many:
        assert len(api.get(url).json()["entry"]) == 20
    assert len(few) == len(many) <= 2  # the rows and the audit
