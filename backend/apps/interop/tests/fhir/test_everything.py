"""Proves that all of one patient is answered, page by page, and nothing of another."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.clinical_notes.tests.factories import make_note, make_soap
from backend.apps.core.models import AuditLog
from backend.apps.insurance.tests.factories import make_patient_insurance
from backend.apps.laboratory.tests.factories import NOON, make_lab_order, make_lab_result
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.tests.factories import make_prescription
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def make_chart(patient: Patient) -> None:
    visit = make_appointment(patient=patient, status="completed", checked_in_at=NOON)
    order = make_lab_order(patient=patient, doctor=visit.doctor, appointment=visit)
    make_lab_result(lab_order=order)
    make_prescription(patient=patient, doctor=visit.doctor)
    note = make_note(patient=patient, doctor=visit.doctor)
    make_soap(clinical_note=note)
    note.sign(visit.doctor.user)
    make_patient_insurance(patient=patient)


def resources(bundle: dict[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]


def names(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    return [f"{one['resourceType']}/{one['id']}" for one in resources(bundle, mode)]


def following(bundle: dict[str, Any]) -> str:
    return next((one["url"].partition(":8000")[2] for one in bundle["link"] if one["relation"] == "next"), "")


def own(bundle: dict[str, Any]) -> str:
    return next(one["url"].partition(":8000")[2] for one in bundle["link"] if one["relation"] == "self")


@pytest.fixture
def chart() -> tuple[APIClient, Patient]:
    patient = make_patient()
    make_chart(patient)
    make_chart(make_patient())
    return client_for(make_user(role="admin")), patient


def test_everything_holds_each_kind_of_the_patients_and_what_it_names(chart: tuple[APIClient, Patient]) -> None:
    api, patient = chart
    answer = api.get(f"/fhir/R4/Patient/{patient.pk}/$everything?_count=500")
    assert answer.status_code == 200, answer.content
    bundle = answer.json()
    kinds = {one["resourceType"] for one in resources(bundle)}
    assert kinds == {
        "Patient", "Coverage", "Appointment", "Encounter", "ServiceRequest", "DiagnosticReport", "Observation",
        "MedicationRequest", "DocumentReference", "Composition", "Provenance",
    }  # fmt: skip
    assert {"Practitioner", "Medication", "Organization"} <= {
        one["resourceType"] for one in resources(bundle, "include")
    }
    others = set(map(str, Patient.objects.exclude(pk=patient.pk).values_list("pk", flat=True)))
    assert not any(other in answer.content.decode() for other in others)
    row = AuditLog.objects.filter(action="everything").get()
    assert (row.resource_id, row.patient_id) == (str(patient.pk), patient.pk)
    assert row.detail["count"] == len(resources(bundle))


def test_pages_of_everything_hold_each_resource_once(chart: tuple[APIClient, Patient]) -> None:
    api, patient = chart
    url = f"/fhir/R4/Patient/{patient.pk}/$everything"
    whole = names(api.get(f"{url}?_count=500").json())
    bundle = api.get(f"{url}?_count=4").json()
    assert "_count=4" in own(bundle)
    seen = names(bundle)
    while more := following(bundle):
        bundle = api.get(more).json()
        assert 1 <= len(resources(bundle)) <= 4
        assert names(api.get(own(bundle)).json()) == names(bundle)
        seen += names(bundle)
    assert seen == whole


def test_everything_can_be_narrowed_by_type_time_and_change(chart: tuple[APIClient, Patient]) -> None:
    api, patient = chart
    url = f"/fhir/R4/Patient/{patient.pk}/$everything"
    typed = api.get(f"{url}?_type=Observation,Patient").json()
    assert {one["resourceType"] for one in resources(typed)} == {"Patient", "Observation"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "end", "valueDate": "1999-01-01"}]}
    before = api.post(url, body, format="json").json()
    assert {one["resourceType"] for one in resources(before)} <= {"Patient", "Coverage", "Provenance"}
    assert resources(api.get(f"{url}?_since=2999-01-01T00:00:00Z").json()) == []
    along = api.get(f"{url}?_type=MedicationRequest,Practitioner").json()
    assert {one["resourceType"] for one in resources(along)} == {"MedicationRequest"}
    assert {one["resourceType"] for one in resources(along, "include")} == {"Practitioner"}
    for types, own, beside in (
        ("Practitioner", set(), {"Practitioner"}),
        ("Observation,Medication", {"Observation"}, {"Medication"}),
    ):
        told = api.get(f"{url}?_type={types}").json()
        assert {one["resourceType"] for one in resources(told)} == own
        assert {one["resourceType"] for one in resources(told, "include")} == beside
        noted = AuditLog.objects.filter(action="everything").latest("timestamp").detail
        assert (noted["count"], set(noted["types"])) == (len(resources(told)), own | beside)
    assert api.get(f"{url}?_type=Nothing").status_code == 400
    assert api.post(url, {"resourceType": "Parameters", "parameter": 1}, format="json").status_code == 200
    assert api.get(f"{url}?since=2020").status_code == 400


def test_a_patient_is_told_all_of_their_own_but_of_results_only_those_released() -> None:
    patient = make_patient(user=make_user(role="patient"))
    make_chart(patient)
    api = client_for(patient.user)
    told = {one["resourceType"] for one in resources(api.get(f"/fhir/R4/Patient/{patient.pk}/$everything").json())}
    assert {"Patient", "MedicationRequest", "Appointment"} <= told
    assert told & {"Observation", "DiagnosticReport"} == set()
    assert client_for(make_user(role="patient")).get(f"/fhir/R4/Patient/{patient.pk}/$everything").status_code == 404


def test_everything_of_a_patient_who_was_removed_is_gone_as_the_patient_is() -> None:
    patient, api = make_patient(), client_for(make_user(role="admin"))
    patient.delete()
    answers = [api.get(f"/fhir/R4/Patient/{patient.pk}{more}") for more in ("", "/$everything")]
    assert [(answer.status_code, answer.json()["issue"][0]["code"]) for answer in answers] == [(410, "deleted")] * 2
