"""Anybody who may sign in can ask what is wrong with a resource, and nothing of it is kept."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from psycopg.errors import DeadlockDetected
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.fhir.writing import patients
from backend.apps.interop.tests.fhir.writing import get
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
NAMED = {"resourceType": "Patient", "name": [{"family": "Okafor", "given": ["Ada"]}], "gender": "female"}


@pytest.fixture
def client() -> APIClient:
    return client_for(make_user(role="pharmacist"))


def asked(client: APIClient, body: Any, address: str = "Patient") -> list[tuple[str, str, str]]:
    answer = client.post(f"/fhir/R4/{address}/$validate", body, format="json")
    assert answer.status_code == 200, answer.content
    issues = answer.json()["issue"]
    return [(one["severity"], one["code"], one.get("expression", [""])[0]) for one in issues]


def parameters(**said: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": name, **value} for name, value in said.items()]}


def test_a_right_resource_has_no_issues_and_is_not_kept(client: APIClient) -> None:
    assert asked(client, {**NAMED, "birthDate": "1980-05-17"}) == [("information", "informational", "")]
    assert not Patient.objects.exists()
    assert AuditLog.objects.get().action == "validate"


def test_all_that_is_wrong_is_said_at_once(client: APIClient) -> None:
    body = {**NAMED, "gender": "M", "telecom": [{"value": "1"}], "extension": [{"url": "urn:x"}]}
    assert set(asked(client, body)) == {
        ("error", "code-invalid", "Patient.gender"),
        ("error", "invariant", "Patient.telecom[0]"),
        ("error", "invariant", "Patient.extension[0]"),
    }


@pytest.mark.parametrize("resource_type", sorted(SOURCES))
def test_every_type_of_ours_can_be_checked(client: APIClient, resource_type: str) -> None:
    issues = asked(client, {"resourceType": resource_type, "nonsense": 1}, resource_type)
    assert ("error", "structure", f"{resource_type}.nonsense") in issues


def test_a_resource_of_another_type_or_id_is_told(client: APIClient) -> None:
    assert asked(client, NAMED, "Group") == [("error", "structure", "resourceType")]
    assert asked(client, {**NAMED, "id": "a"}, "Patient/b") == [("error", "invalid", "Patient.id")]


def test_what_could_not_be_written_is_told_to_who_asks_about_writing(client: APIClient) -> None:
    body = {**NAMED, "photo": [{"url": "http://example.org/a.png"}]}
    assert asked(client, body) == [("information", "informational", "")]
    said = parameters(resource={"resource": body}, mode={"valueCode": "create"})
    assert asked(client, said) == [("error", "not-supported", "Patient.photo")]
    said = parameters(resource={"resource": NAMED}, mode={"valueCode": "create"})
    assert asked(client, said) == [("warning", "informational", "")]


def test_who_may_write_is_told_what_the_clinic_would_refuse_and_nothing_is_kept() -> None:
    desk = client_for(make_user(role="receptionist"))
    make_patient(first_name="Ada", last_name="Okafor", date_of_birth=date(1980, 5, 17))
    old = {**NAMED, "birthDate": "1850-01-01"}
    for body, issue in (
        (old, ("error", "value", "Patient.birthDate")),
        ({**NAMED, "birthDate": "1980-05-17"}, ("error", "duplicate", "Patient.name[0]")),
        ({**NAMED, "birthDate": "1980-05-18"}, ("information", "informational", "")),
    ):
        assert asked(desk, parameters(resource={"resource": body}, mode={"valueCode": "create"})) == [issue]
    assert Patient.objects.count() == 1


def test_what_only_the_database_refuses_is_told_as_any_other_refusal() -> None:
    desk, removed = client_for(make_user(role="receptionist")), make_patient()
    removed.delete()
    number = {"system": settings.FHIR_MRN_SYSTEM, "value": removed.medical_record_number}
    body = {**NAMED, "birthDate": "1980-05-18", "identifier": [number]}
    assert asked(desk, parameters(resource={"resource": body}, mode={"valueCode": "create"})) == [
        ("error", "duplicate", "Patient.identifier[0].value")
    ]
    with pytest.raises(Refusal) as crossed, patients.KIND.refusing():
        raise OperationalError from DeadlockDetected()
    assert (crossed.value.status, crossed.value.issues[0]["code"]) == (409, "conflict")


def test_an_update_is_checked_against_what_stands() -> None:
    desk = client_for(make_user(role="receptionist"))
    row = make_patient()
    body = get(desk, "Patient", row.pk)
    mode = {"valueCode": "update"}
    assert asked(desk, parameters(resource={"resource": {**body, "gender": "other"}}, mode=mode)) == [
        ("information", "informational", "")
    ]
    row.refresh_from_db()
    assert row.gender != "other"
    visit = get(desk, "Appointment", make_appointment().pk)  # `created` is ours to say and stands in it
    assert asked(desk, parameters(resource={"resource": visit}, mode=mode), f"Appointment/{visit['id']}") == [
        ("information", "informational", "")
    ]
    told = AuditLog.objects.filter(action="validate", resource_type="Patient").latest("timestamp")
    assert (told.resource_id, told.patient_id) == (str(row.pk), row.pk)
    unknown = {**NAMED, "id": "0199aaaa-0000-7000-8000-000000000000"}
    assert asked(desk, parameters(resource={"resource": unknown}, mode=mode)) == [("error", "not-found", "Patient.id")]


def test_a_delete_needs_no_resource_and_is_not_done_here(client: APIClient) -> None:
    assert asked(client, parameters(mode={"valueCode": "delete"})) == [("error", "not-supported", "")]


def test_what_is_contained_and_of_no_type_is_told_and_not_repeated(client: APIClient) -> None:
    body = {**NAMED, "contained": [{"resourceType": "Rumpelstiltskin", "id": "a"}]}
    assert asked(client, body) == [("error", "value", "Patient")]


def test_a_profile_that_is_not_checked_is_said_so(client: APIClient) -> None:
    said = parameters(resource={"resource": NAMED}, profile={"valueUri": "http://example.org/p"})
    assert asked(client, said) == [("warning", "not-supported", "")]


@pytest.mark.parametrize(
    ("body", "address", "status"),
    [
        ([1], "Patient", 400),
        (parameters(mode={"valueCode": "create"}), "Patient", 400),
        (parameters(resource={"resource": NAMED}, mode={"valueCode": "banana"}), "Patient", 400),
        (parameters(resource={"resource": NAMED}, color={"valueCode": "red"}), "Patient", 400),
        (NAMED, "Nonsense", 404),
    ],
)
def test_what_cannot_be_read_is_refused(client: APIClient, body: Any, address: str, status: int) -> None:
    answer = client.post(f"/fhir/R4/{address}/$validate", body, format="json")
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_who_is_not_signed_in_is_told_nothing() -> None:
    assert APIClient().post("/fhir/R4/Patient/$validate", NAMED, format="json").status_code == 401
