"""Others put patients on file and correct them by FHIR as the desk does, and nothing they say is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.interop.tests.fhir.writing import FHIR, codes, get, post, put
from backend.apps.patients import merging
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.fhir.terms import BCP_47, CDC_RACE, US_CORE, V2
from tests.support.api_contract import client_for
from tests.support.races import at_once

pytestmark = pytest.mark.django_db
ADA: dict[str, Any] = {
    "resourceType": "Patient",
    "extension": [
        {
            "url": f"{US_CORE}race",
            "extension": [
                {"url": "ombCategory", "valueCoding": {"system": CDC_RACE, "code": "2106-3", "display": "White"}},
                {"url": "text", "valueString": "White"},
            ],
        },
        {"url": f"{US_CORE}birthsex", "valueCode": "F"},
    ],
    "active": True,
    "name": [{"use": "official", "family": "Okafor", "given": ["Ada", "Ngozi"], "suffix": ["III"]}],
    "telecom": [
        {"system": "phone", "value": "+14155550100", "use": "mobile"},
        {"system": "email", "value": "ada@example.org"},
    ],
    "gender": "female",
    "birthDate": "1980-05-17",
    "address": [
        {"use": "home", "line": ["12 Elm Street"], "city": "Albany", "state": "NY", "postalCode": "12207",
         "country": "US"}
    ],
    "contact": [
        {"relationship": [{"text": "brother"}], "name": {"text": "Obi Okafor"},
         "telecom": [{"system": "phone", "value": "+14155550101"}]}
    ],
    "communication": [{"language": {"coding": [{"system": BCP_47, "code": "pt-BR"}]}, "preferred": True}],
}  # fmt: skip


@pytest.fixture
def desk() -> APIClient:
    return client_for(make_user(role="receptionist"))


def test_a_patient_that_was_posted_is_read_back_as_it_was_sent(desk: APIClient) -> None:
    answer = post(desk, ADA)
    assert answer.status_code == 201, answer.content
    assert answer["Content-Type"] == FHIR
    written = answer.json()
    version = written["meta"]["versionId"]
    assert answer["ETag"] == f'W/"{version}"'
    assert answer["Location"].endswith(f"/fhir/R4/Patient/{written['id']}/_history/{version}")
    assert get(desk, "Patient", written["id"]) == written
    assert {name: written[name] for name in ADA} == ADA
    row = Patient.objects.get(pk=written["id"])
    assert written["identifier"][0]["value"] == row.medical_record_number
    assert (row.first_name, row.middle_name, row.races) == ("Ada", "Ngozi", ["2106-3"])
    told = AuditLog.objects.get(action="create", resource_id=written["id"])
    assert (told.resource_type, told.patient_id) == ("Patient", row.pk)
    assert told.detail["elements"] == sorted({*ADA} - {"resourceType"})


def test_what_was_read_can_be_written_back_and_changes_nothing(desk: APIClient) -> None:
    body = post(desk, ADA).json()
    answer = put(desk, body, body["meta"]["versionId"])
    assert answer.status_code == 200, answer.content
    after = answer.json()
    assert after == body


@pytest.mark.parametrize(
    "fields",
    [
        {"emergency_contact_phone": "+14155550101", "emergency_contact_relationship": "brother"},
        {"emergency_contact_relationship": "brother"},
        {"address_line1": "", "address_line2": "Flat 2"},
        {"deceased_at": datetime(2025, 3, 1, 4, 5, 6, 789123, tzinfo=UTC)},
    ],
)
def test_what_is_told_in_part_stays_whole_when_it_is_written_back(desk: APIClient, fields: dict[str, Any]) -> None:
    row = make_patient(**fields)
    body = get(desk, "Patient", row.pk)
    if "emergency_contact_phone" in fields:
        assert body["contact"] == [
            {"relationship": [{"text": "brother"}], "telecom": [{"system": "phone", "value": "+14155550101"}]}
        ]
    for told in (body, {**body, "gender": "other"}):
        assert put(desk, told, body["meta"]["versionId"]).status_code == 200
    after = Patient.objects.get(pk=row.pk)
    assert after.gender == "other"
    assert {name: getattr(after, name) for name in fields} == fields


def test_a_second_line_alone_becomes_the_first_once_the_lines_are_said_anew(desk: APIClient) -> None:
    row = make_patient(address_line1="", address_line2="Flat 2")
    body = get(desk, "Patient", row.pk)
    body["address"][0]["line"] = ["Flat 3"]
    assert put(desk, body, body["meta"]["versionId"]).status_code == 200
    row.refresh_from_db()
    assert (row.address_line1, row.address_line2) == ("Flat 3", "")


def test_a_death_that_cannot_be_is_refused(desk: APIClient) -> None:
    row = make_patient(deceased_at=datetime(2025, 3, 1, tzinfo=UTC))
    body = get(desk, "Patient", row.pk)
    for at, status in (("9999-12-31T23:59:59-12:00", 422), ("2125-01-01T00:00:00Z", 422), (0, 400)):
        answer = put(desk, {**body, "deceasedDateTime": at}, body["meta"]["versionId"])
        assert (answer.status_code, codes(answer)) == (status, {("value", "Patient.deceasedDateTime")}), at
    assert get(desk, "Patient", row.pk) == body


def test_an_update_takes_over_what_is_said_and_clears_what_is_not(desk: APIClient) -> None:
    row = make_patient(insurance_info={"plan": "A"}, sms_consent=True)
    body = get(desk, "Patient", row.pk)
    del body["telecom"]
    body["name"][0]["family"] = "Okonkwo"
    answer = put(desk, body, body["meta"]["versionId"])
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert (row.last_name, row.phone, row.email) == ("Okonkwo", "", "")
    assert (row.insurance_info, row.sms_consent, row.city) == ({"plan": "A"}, True, "Albany")
    assert AuditLog.objects.filter(action="update", resource_id=str(row.pk), outcome="allowed").count() == 1


def test_an_update_names_the_version_it_was_made_from(desk: APIClient) -> None:
    row = make_patient()
    body = get(desk, "Patient", row.pk)
    assert put(desk, body).status_code == 428
    assert put(desk, {**body, "gender": "male"}, body["meta"]["versionId"]).status_code == 200
    stale = put(desk, {**body, "gender": "other"}, body["meta"]["versionId"])
    assert stale.status_code == 412
    row.refresh_from_db()
    assert row.gender == "male"
    any_version = put(desk, {**body, "gender": "other"}, **{"If-Match": "*"})
    assert any_version.status_code == 200
    assert any_version["Last-Modified"] == desk.get(f"/fhir/R4/Patient/{row.pk}")["Last-Modified"]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_change_one_version_at_once_one_is_told_to_load_it_again() -> None:
    row, user = make_patient(), make_user(role="nurse")
    body = get(client_for(user), "Patient", row.pk)
    version, answers = body["meta"]["versionId"], list[int]()
    at_once(*[
        lambda gender=gender: answers.append(put(client_for(user), {**body, "gender": gender}, version).status_code)
        for gender in ("male", "other")
    ])  # fmt: skip
    assert sorted(answers) == [200, 412]
    assert AuditLog.objects.filter(action="update", outcome="allowed").count() == 1


def test_ids_are_ours_to_give(desk: APIClient) -> None:
    stranger = "0199aaaa-0000-7000-8000-000000000000"
    unknown = put(desk, {**ADA, "id": stranger}, "1")
    assert (unknown.status_code, unknown["Allow"]) == (405, "GET, HEAD")
    body = get(desk, "Patient", make_patient().pk)
    other = desk.put(f"/fhir/R4/Patient/{stranger}", body, format="json")
    assert other.status_code == 400
    assert Patient.objects.count() == 1


def test_what_is_no_longer_on_file_is_not_written_under_its_id(desk: APIClient) -> None:
    gone, stays = make_patient(), make_patient()
    body = get(desk, "Patient", gone.pk)
    merging.merge(gone, by=None, into=stays)
    assert put(desk, body, body["meta"]["versionId"]).status_code == 405


def test_a_body_of_another_version_of_fhir_is_not_read(desk: APIClient) -> None:
    for kind, version, status in ((FHIR, "5.0", 415), ("application/json", "5.0", 415), (FHIR, "4.0", 201)):
        told = f"{kind}; fhirVersion={version}"
        assert desk.post("/fhir/R4/Patient", json.dumps(ADA), content_type=told).status_code == status


def test_a_body_without_the_right_shape_is_refused_before_anything_is_locked_or_kept(desk: APIClient) -> None:
    for body in ([1], {**ADA, "name": ['{"family": "x"}']}, {**ADA, "name": ['{"\\u0066amily": "x"}']}):
        with CaptureQueriesContext(connection) as asked:
            assert post(desk, body, **{"Idempotency-Key": "key-0001"}).status_code == 400
        assert not [query for query in asked if "idempotent" in query["sql"]]
    row = make_patient()
    held = get(desk, "Patient", row.pk)
    assert put(desk, {**held, "name": ["{}"]}, held["meta"]["versionId"]).status_code == 400


def test_a_body_that_is_wrong_is_told_where_and_changes_nothing(desk: APIClient) -> None:
    shape = post(desk, {**ADA, "gender": "M", "birthDate": "1980-13-01"})
    assert (shape.status_code, codes(shape)) == (400, {("value", "Patient.birthDate")})
    code = post(desk, {**ADA, "gender": "M"})
    assert (code.status_code, codes(code)) == (400, {("code-invalid", "Patient.gender")})
    unheld = post(desk, {**ADA, "photo": [{"url": "http://example.org/a.png"}]})
    assert (unheld.status_code, codes(unheld)) == (422, {("not-supported", "Patient.photo")})
    rule = post(desk, {**ADA, "telecom": [{"system": "phone", "value": "555 0100"}], "birthDate": "1850-01-01"})
    assert rule.status_code == 422
    assert {path for _, path in codes(rule)} == {"Patient.telecom.where(system='phone').value", "Patient.birthDate"}
    assert "555 0100" not in rule.content.decode()
    assert post(desk, {**ADA, "resourceType": "Group"}).status_code == 400
    assert not Patient.objects.exists()
    assert AuditLog.objects.filter(action="create").exclude(outcome="allowed").count() == 5


def test_who_is_on_file_is_not_put_on_file_again(desk: APIClient) -> None:
    make_patient(first_name="Ada", last_name="Okafor")
    answer = post(desk, ADA)
    assert answer.status_code == 409
    assert ("duplicate", "Patient.name[0]") in codes(answer)
    assert Patient.objects.count() == 1


def test_a_record_number_that_is_taken_is_told_and_a_wrong_code_is_not_repeated(desk: APIClient) -> None:
    taken = {"system": settings.FHIR_MRN_SYSTEM, "value": make_patient(first_name="Eze").medical_record_number}
    answer = post(desk, {**ADA, "identifier": [taken]})
    assert (answer.status_code, codes(answer)) == (409, {("duplicate", "Patient.identifier[0].value")})
    Patient.objects.get().delete()
    answer = post(desk, {**ADA, "identifier": [taken]})
    assert (answer.status_code, codes(answer)) == (409, {("duplicate", "Patient.identifier[0].value")})
    sex = post(desk, {**ADA, "extension": [{"url": f"{US_CORE}birthsex", "valueCode": "Q7"}]})
    assert (sex.status_code, {code for code, _ in codes(sex)}) == (422, {"code-invalid"})
    assert "Q7" not in sex.content.decode()


def test_a_create_with_a_condition_happens_only_where_there_is_none(desk: APIClient) -> None:
    system = settings.FHIR_MRN_SYSTEM
    number = {"system": system, "value": "MRN9000001", "use": "usual",
              "type": {"coding": [{"system": f"{V2}0203", "code": "MR"}]}}  # fmt: skip
    condition = {"If-None-Exist": f"identifier={system}|MRN9000001"}
    first = post(desk, {**ADA, "identifier": [number]}, **condition)
    again = post(desk, {**ADA, "identifier": [number]}, **condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert post(desk, [1], **condition).status_code == 200  # what stands is answered, whatever was sent
    for other in (
        "family=Okafor",
        "identifier=urn:other|MRN9000001",
        "identifier=|MRN9000001",
        f"identifier={system}|",
    ):
        assert post(desk, ADA, **{"If-None-Exist": other}).status_code == 412, other
    assert Patient.objects.count() == 1
    found = AuditLog.objects.filter(action="retrieve", resource_id=again.json()["id"])
    assert [row.patient_id for row in found] == [Patient.objects.get().pk] * 2
    assert AuditLog.objects.filter(action="create", outcome="allowed").count() == 1


def test_a_condition_on_the_number_of_a_record_that_was_merged_finds_the_one_that_stays(desk: APIClient) -> None:
    gone, stays = make_patient(), make_patient()
    merging.merge(gone, by=None, into=stays)
    condition = f"identifier={settings.FHIR_MRN_SYSTEM}|{gone.medical_record_number}"
    answer = post(desk, ADA, **{"If-None-Exist": condition})
    assert (answer.status_code, answer.json()["id"]) == (200, str(stays.pk))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_create_on_one_condition_at_once_the_second_gets_what_the_first_made() -> None:
    user, answers = make_user(role="nurse"), list[int]()
    number = {"system": settings.FHIR_MRN_SYSTEM, "value": "MRN9000001"}
    condition = {"If-None-Exist": f"identifier={number['system']}|{number['value']}"}
    at_once(*[
        lambda: answers.append(post(client_for(user), {**ADA, "identifier": [number]}, **condition).status_code)
        for _ in range(2)
    ])  # fmt: skip
    assert sorted(answers) == [200, 201]
    assert Patient.objects.count() == 1


def test_a_create_sent_twice_under_one_key_happens_once(desk: APIClient) -> None:
    first, again = (post(desk, ADA, **{"Idempotency-Key": "key-0001"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert again["Idempotency-Replayed"] == "true"
    other = post(desk, {**ADA, "gender": "other"}, **{"Idempotency-Key": "key-0001"})
    assert other.status_code == 422
    assert Patient.objects.count() == 1


def test_a_doctor_who_sends_a_create_twice_is_answered_although_the_patient_is_not_theirs_yet() -> None:
    doctor = client_for(make_doctor().user)
    first, again = (post(doctor, ADA, **{"Idempotency-Key": "key-0001"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert doctor.get(f"/fhir/R4/Patient/{first.json()['id']}").status_code == 404


def test_a_conditional_create_that_is_sent_twice_under_one_key_is_answered_by_what_its_first_did() -> None:
    user, system = make_doctor().user, settings.FHIR_MRN_SYSTEM
    doctor = client_for(user)
    theirs = make_appointment(doctor=user.doctor, patient=make_patient(first_name="Eze")).patient
    numbers = {"key-0001": "MRN9000001", "key-0002": theirs.medical_record_number}
    asked = [
        {"Idempotency-Key": key, "If-None-Exist": f"identifier={system}|{number}"} for key, number in numbers.items()
    ]
    made, again, found, reread = (post(doctor, ADA, **headers) for headers in asked for _ in range(2))
    assert [one.status_code for one in (made, again, found, reread)] == [201, 201, 200, 200]
    assert (made.json(), found.json()) == (again.json(), reread.json())
    assert found.json()["id"] == str(theirs.pk)
    assert AuditLog.objects.filter(action="create", resource_id=str(theirs.pk)).count() == 0
    Patient.objects.filter(pk=theirs.pk).update(is_deleted=True, deleted_at=datetime.now(UTC))
    assert post(doctor, ADA, **asked[1]).status_code == 404


def test_the_answer_has_the_body_that_was_preferred(desk: APIClient) -> None:
    quiet = post(desk, ADA, Prefer="return=minimal")
    assert (quiet.status_code, quiet.content) == (201, b"")
    name = [{"family": "Obi", "given": ["Eze"]}]
    told = post(desk, {**ADA, "name": name}, Prefer="return=OperationOutcome")
    assert told.json()["issue"][0]["severity"] == "information"
    assert told["Preference-Applied"] == "return=OperationOutcome"


@pytest.mark.parametrize("role", ["patient", "lab_tech", "pharmacist"])
def test_who_may_not_write_at_the_desk_may_not_write_here(role: str) -> None:
    user = make_user(role=role)
    row = make_patient(**({"user": user} if role == "patient" else {}))
    client = client_for(user)
    body = get(client, "Patient", row.pk)
    assert post(client, ADA).status_code == 403
    assert put(client, body, body["meta"]["versionId"]).status_code == 403
    assert AuditLog.objects.filter(user_id=user.pk, outcome="refused").count() == 2
    assert post(APIClient(), ADA).status_code == 401


def test_a_system_reads_and_never_writes() -> None:
    system = make_system()
    headers = {"Authorization": f"Bearer {system.token('system/*.*')}"}
    row = make_patient()
    body = {**ADA, "id": str(row.pk)}
    assert post(APIClient(), ADA, **headers).status_code == 403
    assert put(APIClient(), body, "1", **headers).status_code == 403
    rows = AuditLog.objects.filter(outcome="refused", action__in=["create", "update"])
    assert [one.detail["client"] for one in rows] == [str(system.row.pk)] * 2


def test_types_that_nobody_writes_are_not_written(desk: APIClient) -> None:
    answer = post(desk, {"resourceType": "Group"}, "Group")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert post(desk, {"resourceType": "Binary"}, "Binary").status_code == 405
    assert post(desk, {"resourceType": "Nonsense"}, "Nonsense").status_code == 404
