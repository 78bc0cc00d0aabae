"""Proves that a bulk export begins as it was asked for, or says what it cannot honour and does not begin."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.utils import timezone

from backend.apps.core.models import AuditLog
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.models import ExportJob, PatientGroup
from backend.apps.interop.tests.fhir.export_rows import ASYNC, BASE, LENIENT, admin, make_job, system
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.fhir.checking import faults
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
EXPORT, PATIENTS = "/fhir/R4/$export", "/fhir/R4/Patient/$export"


def asked(job: ExportJob) -> Asked:
    return Asked.from_json(job.parameters)


def refusal(answer: Any, status: int = 400) -> list[dict[str, Any]]:
    """Return the issues of a refusal, which began nothing."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert answer["Content-Type"] == "application/fhir+json"
    told = answer.json()
    assert faults(told) == []
    assert not ExportJob.objects.exists()
    return list(told["issue"])


def parameters(*pairs: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    named = [
        {"name": name, **value} if isinstance(value, dict) else {"name": name, "valueString": value}
        for name, value in pairs
    ]
    return {"resourceType": "Parameters", "parameter": named}


def test_an_export_is_in_line_and_its_absolute_address_is_told() -> None:
    api, row = system()
    query = urlencode({"_type": "Patient", "_since": "2024-01-01T00:00:00.123+02:00"})
    answer = api.get(f"{EXPORT}?{query}", **ASYNC)
    assert answer.status_code == 202
    job = ExportJob.objects.get()
    assert answer["Content-Location"] == f"{BASE}/exports/{job.pk}"
    assert (job.client, job.requested_by, job.level, job.request_url) == (
        row,
        None,
        "system",
        f"{BASE}/$export?{query}",
    )
    assert (job.status, job.work_state) == ("accepted", "waiting")
    assert asked(job) == Asked(types=("Patient",), since=asked(job).since)
    assert str(asked(job).since) == "2024-01-01 00:00:00.123000+02:00"
    audited = AuditLog.objects.get(action="export")
    assert (audited.outcome, audited.resource_id, audited.user_id) == ("allowed", str(job.pk), None)
    assert audited.detail == {"level": "system", "parameters": ["_since", "_type"], "client": str(row.pk)}


@pytest.mark.parametrize("path", [EXPORT, PATIENTS])
def test_without_respond_async_nothing_begins(path: str) -> None:
    assert refusal(system()[0].get(path))[0]["code"] == "required"


def test_without_a_token_nothing_begins() -> None:
    assert refusal(client_for(None).get(EXPORT, **ASYNC), 401)[0]["code"] == "login"


def test_an_answer_in_a_form_we_do_not_speak_is_refused() -> None:
    assert refusal(system()[0].get(EXPORT, **ASYNC, HTTP_ACCEPT="text/html"), 406)
    assert system()[0].head(EXPORT, **ASYNC).status_code == 405
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize("role", ["doctor", "nurse", "receptionist", "lab_tech", "pharmacist", "patient"])
def test_people_need_the_role_of_administrator(role: str) -> None:
    assert refusal(client_for(make_user(role)).get(EXPORT, **ASYNC), 403)[0]["code"] == "forbidden"


@pytest.mark.parametrize(
    "told", ["application/fhir+ndjson", "application/ndjson", "ndjson", "application/fhir+ndjson; charset=utf-8"]
)
def test_each_name_of_ndjson_is_known(told: str) -> None:
    assert admin().get(EXPORT, {"_outputFormat": told}, **ASYNC).status_code == 202


def test_a_plus_sign_that_was_not_escaped_is_understood() -> None:
    url = f"{EXPORT}?_outputFormat=application/fhir+ndjson&_since=2024-01-01T00:00:00+00:00"
    assert admin().get(url, **ASYNC).status_code == 202


WRONG = {
    "another format": {"_outputFormat": "text/csv"},
    "since is a day": {"_since": "2024-01-01"},
    "since has no offset": {"_since": "2024-01-01T00:00:00"},
    "since is no date": {"_since": "2024-13-01T00:00:00Z"},
    "since is in the future": {"_since": (timezone.now() + timedelta(days=1)).isoformat()},
    "since has no moment in every zone": {"_since": "0001-01-01T00:00:00Z"},
    "since is before our era": {"_since": "0001-01-01T00:00:00+14:00"},
    "until is after all years": {"_until": "9999-12-31T23:59:59-12:00"},
    "since twice": {"_since": ["2024-01-01T00:00:00Z", "2023-01-01T00:00:00Z"]},
    "until before since": {"_since": "2024-01-01T00:00:00Z", "_until": "2023-01-01T00:00:00Z"},
    "an unknown type": {"_type": "Patient,Zebra"},
    "no type left": {"_type": ","},
    "an element that is not of the root": {"_elements": "Patient.name.family"},
    "an element that no patient has": {"_elements": "Patient.shoeSize"},
    "an element that nothing has": {"_elements": "shoeSize"},
    "patients in a URL": {"patient": "Patient/1"},
    "an unknown parameter": {"_zebra": "1"},
    "other associated data": {"includeAssociatedData": "_custom"},
    "another order of files": {"organizeOutputBy": "Group"},
    "neither true nor false": {"allowPartialManifests": "maybe"},
    "a filter that includes": {"_typeFilter": "Patient?_include=Patient:organization"},
    "a filter that sorts": {"_typeFilter": "Patient?_sort=birthdate"},
    "a filter by what cannot be searched": {"_typeFilter": "Patient?zebra=1"},
    "a filter of another type": {"_type": "Patient", "_typeFilter": "Observation?status=final"},
    "a filter with a bad value": {"_typeFilter": "Patient?birthdate=yesterday"},
}


@pytest.mark.parametrize("query", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_honoured_is_refused_with_its_name(query: dict[str, Any]) -> None:
    issues = refusal(admin().get(f"{EXPORT}?{urlencode(query, doseq=True)}", **ASYNC))
    assert issues[0]["expression"][0] in query


def test_all_that_is_wrong_is_told_at_once() -> None:
    issues = refusal(admin().get(EXPORT, {"_since": "x", "_elements": "a.b.c", "_type": "Zebra"}, **ASYNC))
    assert {one["expression"][0] for one in issues} == {"_since", "_elements", "_type"}


def test_lenient_handling_goes_on_without_what_is_not_supported_and_keeps_an_issue_for_each() -> None:
    query = {"_zebra": "1", "organizeOutputBy": "Group", "_type": "Patient,Zebra", "_elements": "birthDate,a.b.c"}
    assert admin().get(EXPORT, query, **LENIENT).status_code == 202
    job = ExportJob.objects.get()
    assert sorted(one["expression"][0] for one in job.problems) == ["_elements", "_type", "_zebra", "organizeOutputBy"]
    assert {one["severity"] for one in job.problems} == {"warning"}
    assert faults({"resourceType": "OperationOutcome", "issue": job.problems}) == []
    assert asked(job) == Asked(types=("Patient",), elements=("birthDate",))


MORE = [
    {"_type": "Zebra"},
    {"_since": "yesterday"},
    {"_outputFormat": "text/csv"},
    {"_elements": "Patient.name.family"},
    {"_elements": "Patient.name.family,Observation.status"},
    {"_elements": "shoeSize,Observation.status"},
]
MORE += [{"_typeFilter": "Patient?zebra=1,Observation?status=final"}]


@pytest.mark.parametrize("query", MORE)
def test_lenient_handling_never_gives_more_than_was_asked_for(query: dict[str, str]) -> None:
    assert refusal(admin().get(EXPORT, query, **LENIENT))


def test_lenient_handling_leaves_out_elements_where_others_of_the_type_are_left_or_it_does_not_go() -> None:
    told = "Patient.name.family,Patient.birthDate,Zebra.name,Observation.code.text,shoeSize"
    assert admin().get(EXPORT, {"_type": "Patient", "_elements": told}, **LENIENT).status_code == 202
    job = ExportJob.objects.get()
    assert (asked(job).elements, len(job.problems)) == (("Patient.birthDate",), 4)


def test_lenient_handling_leaves_out_filters_whose_type_does_not_go_or_has_another() -> None:
    told = "Patient?zebra=1,Patient?gender=male,Zebra?a=1,Observation?status=final"
    assert admin().get(EXPORT, {"_type": "Patient", "_typeFilter": told}, **LENIENT).status_code == 202
    job = ExportJob.objects.get()
    assert (asked(job).type_filters, len(job.problems)) == ((("Patient", "gender=male"),), 3)


def test_repeated_parameters_are_one_list() -> None:
    query = "_type=Patient&_type=Observation,Patient&_elements=id&_elements=Patient.name,Observation.code"
    assert (
        admin().get(f"{EXPORT}?{query}&includeAssociatedData=RelevantProvenanceResources", **ASYNC).status_code == 202
    )
    found = asked(ExportJob.objects.get())
    assert found.types == ("Patient", "Observation")
    assert found.elements_of("Patient") == {"id", "name"}
    assert found.elements_of("Observation") == {"id", "code"}
    assert found.wants("Provenance")


def test_filters_of_a_type_are_alternatives_and_keep_their_commas_and_offsets() -> None:
    told = "Patient?gender=male,female&birthdate=ge1950-01-01,Patient?_lastUpdated=ge2024-01-01T00:00:00+02:00"
    url = f"{EXPORT}?_typeFilter={quote(told)}&_typeFilter={quote('Patient?gender=other')}"
    assert admin().get(url, **ASYNC).status_code == 202, told
    assert asked(ExportJob.objects.get()).filters_of("Patient") == [
        [("gender", "male,female"), ("birthdate", "ge1950-01-01")],
        [("_lastUpdated", "ge2024-01-01T00:00:00+02:00")],
        [("gender", "other")],
    ]


def test_a_post_takes_a_parameters_resource_and_its_url_names_no_parameter() -> None:
    patient = make_patient()
    body = parameters(
        ("_type", {"valueCode": "Patient"}),
        ("_since", {"valueInstant": "2024-01-01T00:00:00Z"}),
        ("patient", {"valueReference": {"reference": f"Patient/{patient.pk}"}}),
        ("allowPartialManifests", {"valueBoolean": True}),
    )
    for kind in ("application/fhir+json", "application/json"):
        assert admin().generic("POST", PATIENTS, json.dumps(body), kind, **ASYNC).status_code == 202
    job = ExportJob.objects.first()
    assert job is not None
    assert (job.level, job.request_url) == ("patient", f"{BASE}/Patient/$export")
    found = asked(job)
    assert (found.patients, found.types, found.allow_partial) == ((str(patient.pk),), ("Patient",), True)


def test_patients_must_be_known_and_members_of_the_group() -> None:
    group, member, other = PatientGroup.objects.create(name="Panel"), make_patient(), make_patient()
    group.patients.add(member)
    api = admin()

    def ask(path: str, key: Any) -> Any:
        body = parameters(("patient", {"valueReference": {"reference": f"Patient/{key}"}}))
        return api.post(path, body, format="json", **ASYNC)

    of_group = f"/fhir/R4/Group/{group.pk}/$export"
    assert refusal(ask(of_group, other.pk))[0]["code"] == "not-found"
    assert refusal(ask(PATIENTS, "0190a0a0-0000-7000-8000-000000000000"))[0]["code"] == "not-found"
    assert refusal(ask(PATIENTS, "zebra"))
    assert refusal(ask(EXPORT, member.pk))
    assert ask(of_group, member.pk).status_code == 202
    assert ExportJob.objects.get().group == group


def test_a_group_goes_only_where_all_its_members_do() -> None:
    group, member = PatientGroup.objects.create(name="Panel"), make_patient()
    group.patients.add(member)
    of_group, api = f"/fhir/R4/Group/{group.pk}/$export", admin()
    named = ("patient", {"valueReference": {"reference": f"Patient/{member.pk}"}})
    body = parameters(("_type", {"valueCode": "Patient,Group"}), named)
    assert refusal(api.get(PATIENTS, {"_type": "Patient,Group"}, **ASYNC))[0]["expression"] == ["_type"]
    assert refusal(api.get(PATIENTS, {"_type": "Group"}, **LENIENT))
    assert refusal(api.post(of_group, body, format="json", **ASYNC))[0]["expression"] == ["_type"]
    assert api.post(of_group, body, format="json", **LENIENT).status_code == 202
    assert asked(ExportJob.objects.get()).types == ("Patient",)
    ExportJob.objects.update(status="failed")
    assert api.get(of_group, {"_type": "Group"}, **ASYNC).status_code == 202


NO_PARAMETERS = [
    ["Parameters"],
    {"resourceType": "Patient"},
    parameters(("_type", {})),
    parameters(("_type", {"valueInteger": 1})),
    parameters(("_type", {"valueCode": "Patient", "valueString": "Patient"})),
]


@pytest.mark.parametrize("body", NO_PARAMETERS)
def test_a_body_that_is_no_parameters_is_refused(body: Any) -> None:
    assert refusal(admin().post(PATIENTS, body, format="json", **ASYNC))


@pytest.mark.parametrize("key", ["zebra", "0190a0a0-0000-7000-8000-000000000000"])
def test_an_unknown_group_is_not_found(key: str) -> None:
    assert refusal(admin().get(f"/fhir/R4/Group/{key}/$export", **ASYNC), 404)[0]["code"] == "not-found"


def test_a_token_limits_what_is_exported() -> None:
    api, _ = system("system/Patient.rs system/Practitioner.read")
    assert refusal(api.get(EXPORT, {"_type": "Patient,Observation"}, **ASYNC))[0]["code"] == "forbidden"
    assert refusal(api.get(EXPORT, {"includeAssociatedData": "LatestProvenanceResources"}, **ASYNC))
    assert api.get(EXPORT, **ASYNC).status_code == 202
    assert set(ExportJob.objects.get().granted) == {"Patient", "Practitioner"} & set(SOURCES)


def test_a_second_export_of_the_same_asker_waits_and_that_of_another_does_not() -> None:
    (api, row), (other, _) = system(), system()
    assert api.get(EXPORT, **ASYNC).status_code == 202
    answer = api.get(EXPORT, **ASYNC)
    assert (answer.status_code, answer["Retry-After"]) == (429, "30")
    assert answer.json()["issue"][0]["code"] == "throttled"
    assert ExportJob.objects.count() == 1
    assert other.get(EXPORT, **ASYNC).status_code == 202
    ExportJob.objects.filter(client=row).update(status="failed")
    assert api.get(EXPORT, **ASYNC).status_code == 202


def test_parameters_survive_their_row() -> None:
    told = Asked(
        types=("Patient",), since=timezone.now(), until=timezone.now(), type_filters=(("Patient", "gender=male"),),
        elements=("id",), patients=("1",), associated=("LatestProvenanceResources",), allow_partial=True,
        separate_status=True,
    )  # fmt: skip
    job = make_job(parameters=told.to_json())
    job.refresh_from_db()
    assert asked(job) == told
    assert Asked().to_json() == {}
