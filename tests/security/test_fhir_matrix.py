"""Proves who finds what over FHIR: each type, operation and inclusion, by each role, of own patients and strangers."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.interop.fhir.search.asked import inclusions
from backend.apps.interop.fhir.sources import SOURCES
from tests.security.matrix import Practice, make, make_practice, other_people
from tests.security.routes import everything_stored, routes
from tests.security.test_url_matrix import CANARY, tells_nothing
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
FHIR = "/fhir/R4"
MADE = (
    "appointments", "lab-results", "lab-specimens", "prescriptions", "clinical-notes", "soap-notes",
    "insurance-claims",
)  # fmt: skip
OWN_ONLY = (Role.DOCTOR, Role.PATIENT)
FORM = "application/x-www-form-urlencoded"
# The addresses below /fhir/R4/, as the URL conf has them, and where here they are asked for.
ASKED = {
    "^(?P<resource_type>[A-Z][A-Za-z]{1,60})/?$", "^(?P<resource_type>[A-Z][A-Za-z]{1,60})/_search$",
    "^(?P<resource_type>[A-Z][A-Za-z]{1,60})/(?P<fhir_id>[A-Za-z0-9.-]{1,64})$",
    "^(?P<resource_type>[A-Z][A-Za-z]{1,60})/(?P<fhir_id>[A-Za-z0-9.-]{1,64})/_history/(?P<version_id>[A-Za-z0-9.-]{1,64})$",
    r"^(?P<resource_type>[A-Z][A-Za-z]{1,60})(?:/(?P<fhir_id>[A-Za-z0-9.-]{1,64}))?/\$validate$",
    r"^Patient/(?P<fhir_id>[A-Za-z0-9.-]{1,64})/\$everything$", "^Binary/(?P<fhir_id>[A-Za-z0-9.-]{1,64})$",
    "^metadata$", ".well-known/smart-configuration", "$export", "Patient/$export", "",
    r"Group/(?P<fhir_id>[A-Za-z0-9.-]{1,64})/\$export$",
    r"exports/(?P<fhir_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
    r"exports/files/(?P<fhir_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
}  # fmt: skip
OPEN = ("metadata", ".well-known/smart-configuration")


def test_no_address_of_the_fhir_api_is_left_out() -> None:
    assert {route.path.removeprefix("fhir/R4/") for route in routes() if route.kind == "fhir"} == ASKED


@pytest.fixture
def people() -> tuple[Practice, Practice]:
    """Return a practice and strangers to its doctor and patient, with something of each type for both."""
    practice = make_practice()
    strangers = other_people(practice)
    for name, value in CANARY.items():
        setattr(strangers.patient, name, value)
    strangers.patient.save()
    for of in (practice, strangers):
        for resource in MADE:
            make(resource, of)
    return practice, strangers


def found_by(api: APIClient, kind: str) -> dict[str, str]:
    """Return {id: text} of all resources of a type that a search tells of."""
    answer = api.get(f"{FHIR}/{kind}", {"_count": "200"})
    assert answer.status_code == 200, (kind, answer.content)
    return {one["resource"]["id"]: json.dumps(one["resource"]) for one in answer.json().get("entry", [])}


def is_let(kind: str, role: str, action: str) -> bool:
    return any(role in source.permissions.get(action, ()) for source in SOURCES[kind])


def test_each_type_is_searched_and_read_by_the_roles_of_its_table_and_of_strangers_nothing_is_told(
    people: tuple[Practice, Practice],
) -> None:
    practice, strangers = people
    stranger = str(strangers.patient.pk)
    everything = {kind: found_by(client_for(practice.logins[Role.ADMIN]), kind) for kind in SOURCES}
    theirs = {kind: [key for key, text in rows.items() if stranger in text] for kind, rows in everything.items()}
    assert sum(map(bool, theirs.values())) >= 8, "there is something to protect"
    stored, looked = everything_stored(), 0
    for role in Role:
        api = client_for(practice.logins[role])
        for kind, rows in everything.items():
            lists, reads = is_let(kind, role, "list"), is_let(kind, role, "retrieve")
            by_post = api.generic("POST", f"{FHIR}/{kind}/_search", "_count=200", FORM)
            assert by_post.status_code == (200 if lists else 403), (role, kind)
            if role in OWN_ONLY:
                assert no_canary(by_post, stranger), (role, kind)
            seen = set(found_by(api, kind)) if lists else set()
            assert not (role in OWN_ONLY and seen & set(theirs[kind])), (role, kind)
            for key in [*theirs[kind][:1], *[key for key in rows if key not in theirs[kind]][:1]]:
                wanted = 403 if not reads else 404 if role in OWN_ONLY and key in theirs[kind] else None
                for url in (f"{FHIR}/{kind}/{key}", f"{FHIR}/{kind}/{key}/_history/1"):
                    told = api.get(url)
                    assert told.status_code < 500, (role, url)
                    assert wanted in (None, told.status_code), (role, url, told.status_code)
                    assert wanted is None or no_canary(told, stranger)
                    looked += told.status_code == 403
    assert everything_stored() == stored
    assert AuditLog.objects.filter(outcome="refused", action="retrieve").count() >= looked


def no_canary(answer: Any, stranger: str) -> bool:
    return tells_nothing(answer) and stranger.encode() not in answer.content


def test_nothing_of_a_stranger_is_brought_along_and_no_parameter_finds_one(people: tuple[Practice, Practice]) -> None:
    practice, strangers = people
    stranger, asked = str(strangers.patient.pk), 0
    questions = [
        {"patient": stranger}, {"patient": f"Patient/{stranger}"}, {"subject": f"Patient/{stranger}"},
        {"_id": stranger},
        {"patient.identifier": "ZQMRN1"}, {"subject:Patient.family": "Zqlast"}, {"_has:Observation:patient:code": "x"},
        {"_sort": "patient.family"}, {"_sort": "-family"}, {"_total": "accurate"}, {"_summary": "count"},
    ]  # fmt: skip
    for role in OWN_ONLY:
        api = client_for(practice.logins[role])
        for kind in SOURCES:
            if not is_let(kind, role, "list"):
                continue
            along = [{name: one} for name, back in (("_include", False), ("_revinclude", True))
                     for one in inclusions(kind, back=back)]  # fmt: skip
            for query in [*questions, *along]:
                answer = api.get(f"{FHIR}/{kind}?{urlencode(query)}")
                assert answer.status_code in {200, 400, 403}, (role, kind, query, answer.status_code)
                assert b"Zqlast" not in answer.content.replace(b"=Zqlast", b""), (role, kind, query)
                assert not any(stranger in json.dumps(one["resource"]) for one in answer.json().get("entry", [])), query
                asked += 1
        counted = api.get(f"{FHIR}/Patient?_summary=count").json()
        assert counted.get("total", 1) == 1, "a count tells of own ones alone"
    assert asked > 300


def test_a_stranger_is_answered_as_somebody_who_is_not_there(people: tuple[Practice, Practice]) -> None:
    practice, strangers = people
    removed = other_people(practice).patient
    removed.delete()
    for role in OWN_ONLY:
        api, told = client_for(practice.logins[role]), []
        for key in (strangers.patient.pk, uuid.uuid4(), removed.pk):
            for path in (f"Patient/{key}", f"Patient/{key}/$everything", f"Patient/{key}/_history/1"):
                answer = api.get(f"{FHIR}/{path}", headers={"If-None-Match": "*"})
                told.append((path.replace(str(key), ""), answer.status_code, answer.content, answer.get("ETag")))
        assert told[:3] == told[3:6] == told[6:]
        assert {status for _, status, *_ in told} == {404}


def test_the_other_addresses_are_for_nobody_without_a_sign_in_and_exports_for_the_administrator(
    people: tuple[Practice, Practice],
) -> None:
    practice, strangers = people
    key = uuid.uuid4()
    exports = ("$export", "Patient/$export", f"Group/{key}/$export", f"exports/{key}", f"exports/files/{key}")
    reads = (
        "Patient",
        f"Patient/{strangers.patient.pk}",
        f"Patient/{strangers.patient.pk}/$everything",
        f"Binary/{key}",
    )
    for path in (*exports, *reads):
        assert APIClient().get(f"{FHIR}/{path}").status_code == 401, path
    for path in OPEN:
        assert APIClient().get(f"{FHIR}/{path}").status_code == 200, path
    stored = everything_stored()
    for role in set(Role) - {Role.ADMIN}:
        api = client_for(practice.logins[role])
        for path in exports:
            assert api.get(f"{FHIR}/{path}", headers={"Prefer": "respond-async"}).status_code in {403, 404}, (
                role,
                path,
            )
        for method in ("PUT", "PATCH", "DELETE", "POST"):
            answer = api.generic(
                method, f"{FHIR}/Patient/{strangers.patient.pk}", b"{}", content_type="application/json"
            )
            assert answer.status_code in {400, 403, 404, 405, 422}, (role, method, answer.status_code)
            assert tells_nothing(answer)
        assert api.get(f"{FHIR}/nosuch/place").status_code == 404
        checked = api.generic("POST", f"{FHIR}/Patient/$validate", b"{}", content_type="application/json")
        assert checked.status_code < 500
    assert everything_stored() == stored
