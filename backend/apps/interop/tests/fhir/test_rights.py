"""Proves that FHIR shows each role what its tables and object rules allow, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.interop.fhir.smart import scopes
from backend.apps.interop.fhir.smart.authentication import SystemClient
from backend.apps.interop.fhir.source import rows_among
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.fhir.sources.results import RESULTS
from backend.apps.interop.models import SmartClient
from backend.apps.interop.tests.fhir.clinical_makers import full_result, seen_order
from backend.apps.interop.tests.fhir.makers import MAKERS
from backend.apps.interop.tests.fhir.makers_of_people import make_group
from backend.apps.laboratory.models import LabFeed, LabResult
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_result
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
FHIR = "/fhir/R4"
OF_OWN = {Role.PATIENT, Role.DOCTOR}  # who see only patients of their own, and these have none


def entries(answer: Any) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in answer.json().get("entry", ())]


def test_every_role_finds_of_every_type_what_its_table_allows_and_no_stranger() -> None:
    for place, makers in enumerate(MAKERS.values()):
        makers[0]()
        LabFeed.objects.filter(sending_facility="").update(sending_facility=f"LAB {place}")  # one feed for each sender
    for role in Role:
        user = make_user(role=role)
        api = client_for(user)
        for kind, sources in SOURCES.items():
            listed = [source for source in sources if role in source.permissions.get("list", frozenset())]
            answer = api.get(f"{FHIR}/{kind}?_count=1&_total=none")
            assert answer.status_code == (200 if listed else 403), (role, kind, answer.content)
            found = entries(answer)
            if role in OF_OWN and all(source.patient for source in sources):
                assert found == [], (role, kind)
            if role == Role.ADMIN:
                assert found, kind
        assert AuditLog.objects.filter(user=user).count() == len(SOURCES)


def test_who_may_not_list_or_read_is_refused_and_that_is_written_down() -> None:
    result, receptionist = full_result(), make_user(role="receptionist")
    api = client_for(receptionist)
    for path in ("Observation", f"Observation/{result.result_key}"):
        answer = api.get(f"{FHIR}/{path}")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "forbidden")
    assert set(AuditLog.objects.filter(user=receptionist).values_list("outcome", "resource_type")) == {
        ("refused", "Observation")
    }


def version_of(row: LabResult) -> str:
    [version] = rows_among(
        RESULTS, LabResult.all_objects.filter(pk=row.pk), resource=RESULTS.resource.only(frozenset()), live=False
    )
    return str(version[1])


def test_a_patient_reads_a_result_once_it_is_released_and_never_an_earlier_version() -> None:
    patient = make_patient(user=make_user(role="patient"))
    order = seen_order(patient=patient)
    old = full_result(lab_order=order, is_current=False, version=1)
    LabFeed.objects.update(sending_facility="FIRST")
    new = full_result(lab_order=order, version=2, result_key=old.result_key, status="corrected", supersedes=old)
    own, nurse = client_for(patient.user), client_for(make_user(role="nurse"))
    url = f"{FHIR}/Observation/{new.result_key}"
    assert [own.get(url).status_code, nurse.get(url).status_code] == [404, 200]
    first, second = (version_of(row) for row in (old, new))
    assert (first[:2], second[:2]) == ("1-", "2-")
    assert nurse.get(f"{url}/_history/{first}").json()["meta"]["versionId"] == first
    assert nurse.get(f"{url}/_history/{second}").json()["meta"]["versionId"] == second
    for unknown in (f"3{second[1:]}", f"2{first[1:]}", "1", "2"):
        assert nurse.get(f"{url}/_history/{unknown}").status_code == 404
    seen = {"verified_by": make_user(role="doctor"), "verified_at": new.created_at, "released_at": new.created_at}
    LabResult.objects.filter(pk=new.pk).update(**seen)
    assert [own.get(url).status_code, own.get(f"{url}/_history/{first}").status_code] == [200, 404]
    assert [one["id"] for one in entries(own.get(f"{FHIR}/Observation"))] == [new.result_key]


def test_a_patient_cannot_tell_by_a_search_that_something_unreleased_came() -> None:
    patient = make_patient(user=make_user(role="patient"))
    order = make_lab_order(patient=patient)
    make_lab_result(lab_order=order).verify(make_user(role="lab_tech"))
    own, nurse = client_for(patient.user), client_for(make_user(role="nurse"))
    known = entries(own.get(f"{FHIR}/DiagnosticReport"))[0]["meta"]["lastUpdated"]
    LabResult.objects.filter(pk=make_lab_result(lab_order=order).pk).update(updated_at="2999-01-01T00:00:00Z")
    later = f"{FHIR}/DiagnosticReport?patient={patient.pk}&_lastUpdated=ge2999"
    assert [len(entries(api.get(later))) for api in (own, nurse)] == [0, 1]
    assert len(entries(own.get(f"{FHIR}/DiagnosticReport?_lastUpdated={known}"))) == 1


def test_nobody_searches_by_what_their_role_does_not_see() -> None:
    make_patient(city="Springfield")
    pharmacist = client_for(make_user(role="pharmacist"))
    assert pharmacist.get(f"{FHIR}/Patient?address-city=Springfield").status_code == 403
    assert client_for(make_user(role="nurse")).get(f"{FHIR}/Patient?address-city=springf").json()["total"] == 1


def test_what_is_brought_along_is_what_the_caller_might_have_searched_for() -> None:
    result = full_result()
    query = f"Observation?_id={result.result_key}&_include=Observation:patient&_include=Observation:specimen"
    query += "&_revinclude=Provenance:target"
    answer = client_for(make_user(role="nurse")).get(f"{FHIR}/{query}")
    assert {one["resourceType"] for one in entries(answer)} == {"Observation", "Patient", "Specimen", "Provenance"}
    modes = [entry["search"]["mode"] for entry in answer.json()["entry"]]
    assert modes == ["match", "include", "include", "include"]
    answer = system("system/Observation.rs system/Specimen.r").get(f"{FHIR}/{query}")
    assert {one["resourceType"] for one in entries(answer)} == {"Observation"}


def test_who_asks_for_one_resource_is_not_told_to_ask_for_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    group = make_group(make_patient(), make_patient())
    monkeypatch.setattr("backend.apps.interop.fhir.search.includes.MOST", 1)
    refused = client_for(make_user(role="admin")).get(f"{FHIR}/Group?_id={group.pk}&_include=Group:member")
    (issue,) = refused.json()["issue"]
    assert (refused.status_code, issue["code"]) == (400, "too-costly")
    assert "_count" not in issue["diagnostics"]


def system(words: str) -> APIClient:
    client = SmartClient.objects.create(name="A registry", jwks={"keys": []})
    api = APIClient()
    api.force_authenticate(SystemClient(client, scopes.read(words.split())))  # type: ignore[arg-type]  # no User on purpose
    return api


def test_a_system_reads_what_its_scopes_name_and_is_named_in_the_audit() -> None:
    result = full_result()
    api = system("system/Observation.s system/Patient.rs")
    assert len(entries(api.get(f"{FHIR}/Observation"))) == 1
    assert api.get(f"{FHIR}/Observation/{result.result_key}").status_code == 403
    assert api.get(f"{FHIR}/Encounter").status_code == 403
    client = SmartClient.objects.get()
    rows = AuditLog.objects.filter(detail__client=str(client.pk))
    assert list(rows.order_by("timestamp").values_list("user", "outcome")) == [
        (None, "allowed"),
        (None, "refused"),
        (None, "refused"),
    ]
