"""Proves that one resource is answered by its id to who may see it, and to nobody else."""

from __future__ import annotations

import uuid

import pytest
from django.utils.http import parse_http_date_safe

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog
from backend.apps.interop.fhir.sources import ALL
from backend.apps.interop.tests.fhir.clinical_makers import full_result
from backend.apps.laboratory import services as laboratory
from backend.apps.laboratory.models import LabOrder
from backend.apps.laboratory.tests.factories import make_lab_order
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def test_a_resource_is_answered_with_its_version_and_one_audit_row() -> None:
    patient, nurse = make_patient(), make_user(role="nurse")
    answer = client_for(nurse).get(f"/fhir/R4/Patient/{patient.pk}")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/fhir+json"
    body = answer.json()
    assert body["id"] == str(patient.pk)
    assert answer["ETag"] == f'W/"{body["meta"]["versionId"]}"'
    assert parse_http_date_safe(answer["Last-Modified"]) == int(patient.updated_at.timestamp())
    rows = AuditLog.objects.filter(user=nurse)
    assert [(row.action, row.resource_type, row.resource_id, row.patient_id) for row in rows] == [
        ("retrieve", "Patient", str(patient.pk), patient.pk)
    ]


def test_who_has_the_version_already_is_told_so_without_the_resource() -> None:
    patient = make_patient()
    api = client_for(make_user(role="nurse"))
    tag = api.get(f"/fhir/R4/Patient/{patient.pk}")["ETag"]
    again = api.get(f"/fhir/R4/Patient/{patient.pk}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert api.get(f"/fhir/R4/Patient/{patient.pk}", headers={"If-None-Match": "*"}).status_code == 304


def test_an_earlier_version_of_a_finding_is_read_by_the_name_it_had_and_as_it_was() -> None:
    found = full_result()
    api, url = client_for(make_user(role="nurse")), f"/fhir/R4/Observation/{found.result_key}"
    first = api.get(url)
    version = first.json()["meta"]["versionId"]
    laboratory.correct(found, by=None, result_value="7.00")
    now, past = api.get(url, headers={"If-None-Match": first["ETag"]}), api.get(f"{url}/_history/{version}")
    assert (now.status_code, now.json()["valueQuantity"]["value"]) == (200, 7)
    assert past["ETag"] == first["ETag"]
    assert {**past.json(), "meta": None} == {**first.json(), "meta": None}
    LabOrder.objects.filter(pk=found.lab_order_id).update(patient=make_patient())
    assert api.get(f"{url}/_history/{version}").status_code == 404


def test_what_was_deleted_is_gone_for_who_could_see_it_and_nothing_for_others() -> None:
    patient, other = make_patient(user=make_user(role="patient")), make_user(role="patient")
    patient.delete()
    url = f"/fhir/R4/Patient/{patient.pk}"
    gone = client_for(make_user(role="nurse")).get(url)
    assert (gone.status_code, gone.json()["issue"][0]["code"]) == (410, "deleted")
    assert client_for(other).get(url).status_code == 404


def test_what_never_was_or_is_hidden_is_not_told_as_gone() -> None:
    api, visit, order = client_for(make_user(role="admin")), make_appointment(status="scheduled"), make_lab_order()
    visit.delete()
    order.patient.delete()
    status = {
        f"Appointment/{visit.pk}": 410,
        f"Encounter/{visit.pk}": 404,  # nobody came to it
        f"ServiceRequest/{order.pk}": 410,  # went with the patient
        f"DiagnosticReport/{order.pk}": 404,  # nothing was ever reported
    }
    assert {path: api.get(f"/fhir/R4/{path}").status_code for path in status} == status


def test_every_source_whose_resources_go_knows_since_when_its_rows_are_there() -> None:
    assert all(source.model._meta.get_field("created_at") for source in ALL if source.goings)


@pytest.mark.parametrize(
    "path",
    ["Patient/5dc22deb-6b27-49b9-b47a-bf8e2023368d", "Patient/not-a-uuid", "Basic/1", "nothing/here", "Patient/_x"],
)
def test_what_is_not_there_is_an_outcome(path: str) -> None:
    answer = client_for(make_user(role="admin")).get(f"/fhir/R4/{path}")
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["code"] == "not-found"
    assert answer["Content-Type"] == "application/fhir+json"


def test_without_a_login_the_answer_is_an_outcome_that_says_how() -> None:
    answer = client_for(None).get(f"/fhir/R4/Patient/{uuid.uuid4()}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (401, "login")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert AuditLog.objects.filter(outcome="refused", action="retrieve").count() == 1


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("application/fhir+json; fhirVersion=4.0", "application/fhir+json"),
        ("text/html, */*;q=0.1", "application/fhir+json"),
        ("application/json", "application/json"),
        ("", "application/fhir+json"),
        ("application/fhir+json; fhirVersion=5.0, application/fhir+json; fhirVersion=4.0", "application/fhir+json"),
        ("application/fhir+json;q=0.5, application/json", "application/json"),
        ("application/fhir+json;q=0, text/html", None),
        ("application/fhir+json; fhirVersion=5.0", None),
        ("application/fhir+xml", None),
    ],
)
def test_the_answer_has_the_form_that_was_asked_for(accept: str, answered: str | None) -> None:
    patient = make_patient()
    answer = client_for(make_user(role="nurse")).get(f"/fhir/R4/Patient/{patient.pk}", headers={"Accept": accept})
    assert answer["Content-Type"] == (answered or "application/fhir+json")
    assert answer.status_code == (200 if answered else 406)
    assert answer["Vary"].startswith("Accept")


def test_a_method_that_an_address_does_not_know_is_an_outcome() -> None:
    api = client_for(make_user(role="admin"))
    url = f"/fhir/R4/Patient/{uuid.uuid4()}"
    for answer in (api.options(f"{url}/$everything"), api.options(url), api.delete(url)):
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (405, "not-supported")
    assert answer["Allow"] == "GET, PUT, HEAD"


@pytest.mark.parametrize(("path", "status"), [("Patient", 405), ("metadata", 405), ("nothing/here", 404)])
def test_nobody_is_told_by_options_how_the_server_is_made(path: str, status: int) -> None:
    answer = client_for(None).options(f"/fhir/R4/{path}")
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


@pytest.mark.parametrize(("query", "accept"), [("", "application/fhir+xml"), ("?name=%00", "*/*")])
def test_a_bad_token_is_the_first_thing_refused_whatever_else_is_wrong(query: str, accept: str) -> None:
    headers = {"Authorization": "Bearer revoked", "Accept": accept}
    answer = client_for(None).get(f"/fhir/R4/Patient{query}", headers=headers)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (401, "login")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert AuditLog.objects.get().outcome == AuditLog.Outcome.REFUSED
