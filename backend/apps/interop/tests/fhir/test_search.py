"""Proves that searches find what they say, page by page, and tell nobody's name in a link."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
FHIR = "/fhir/R4"


@pytest.fixture
def api() -> APIClient:
    return client_for(make_user(role="admin"))


def ids(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]


def link(bundle: dict[str, Any], relation: str) -> str:
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), "")


def found(api: APIClient, query: str, **headers: str) -> list[str]:
    answer = api.get(f"{FHIR}/{query}", headers=headers)
    assert answer.status_code == 200, answer.content
    return ids(answer.json())


def test_patients_are_found_by_what_us_core_asks_for(api: APIClient) -> None:
    one = make_patient(
        first_name="Zoë", last_name="O'Neil, Jr", date_of_birth="1980-05-17", gender="female", middle_name="Q"
    )
    make_patient(first_name="Adam", last_name="Oneida", date_of_birth="1981-05-17", gender="male")
    for query in (
        f"_id={one.pk}",
        f"identifier={one.medical_record_number}",
        "family=o'neil",
        "name=zo",
        r"family:exact=O'Neil\, Jr",
        "family:contains=neil",
        "birthdate=1980-05-17",
        "birthdate=1980",
        "birthdate=lt1980-06&birthdate=ge1980-05-17",
        "birthdate=1980-05-17&birthdate=le9999-12-31",
        "family=o&gender=female",
        "gender:not=male",
        "gender=female&birthdate:missing=false",
        "name=nobody,zoë",
    ):
        assert found(api, f"Patient?{query}") == [str(one.pk)], query
    assert found(api, "Patient?birthdate=gt1980-05-17&birthdate=lt1981-05-17") == []


def test_pages_hold_every_row_once_though_rows_change_between_them(api: APIClient) -> None:
    made = {str(make_patient(last_name="Many").pk) for _ in range(5)}
    bundle = api.get(f"{FHIR}/Patient?family=Many&_count=2").json()
    assert bundle["total"] == 5
    seen = ids(bundle)
    while url := link(bundle, "next"):
        make_patient(last_name="Few")
        assert "Many" not in url
        bundle = api.get(url.partition("8000")[2] or url).json()
        assert bundle["total"] == 5
        seen += ids(bundle)
    assert sorted(seen) == sorted(made)


def test_a_next_link_opens_for_nobody_else(api: APIClient) -> None:
    make_patient(), make_patient()
    url = link(api.get(f"{FHIR}/Patient?_count=1").json(), "next")
    query = url.partition("?")[2]
    for client, sent in ((client_for(make_user(role="admin")), query), (api, query[:-4]), (api, "_cursor=x")):
        answer = client.get(f"{FHIR}/Patient?{sent}")
        assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


def test_a_search_by_post_finds_the_same_and_its_links_and_audit_name_nobody(api: APIClient) -> None:
    one = make_patient(last_name="Canaryson")
    answer = api.post(
        f"{FHIR}/Patient/_search?_count=10", "family=Canaryson", content_type="application/x-www-form-urlencoded"
    )
    bundle = answer.json()
    assert ids(bundle) == [str(one.pk)]
    assert "Canaryson" not in link(bundle, "self")
    again = api.get(f"{FHIR}/Patient?{link(bundle, 'self').partition('?')[2]}")
    assert ids(again.json()) == [str(one.pk)]
    row = AuditLog.objects.filter(action="list").latest("timestamp")
    assert row.detail == {"count": 1, "ids": [str(one.pk)], "filters": ["family"]}


def test_only_the_count_is_answered_where_only_that_is_asked_for(api: APIClient) -> None:
    make_patient(gender="other")
    bundle = api.get(f"{FHIR}/Patient?gender=other&_summary=count").json()
    assert bundle["total"] == 1
    assert "entry" not in bundle
    assert "entry" not in api.get(f"{FHIR}/Patient?gender=other&_count=0").json()
    assert "total" not in api.get(f"{FHIR}/Patient?_total=none").json()


def test_elements_cut_a_resource_and_say_so(api: APIClient) -> None:
    make_patient()
    resource = api.get(f"{FHIR}/Patient?_elements=birthDate").json()["entry"][0]["resource"]
    assert {"birthDate", "name", "identifier"} <= set(resource)
    assert "address" not in resource
    assert resource["meta"]["tag"][0]["code"] == "SUBSETTED"


def test_a_parameter_that_is_not_known_is_left_out_or_refused_as_asked(api: APIClient) -> None:
    one = make_patient(gender="other")
    bundle = api.get(f"{FHIR}/Patient?gender=other&shoe-size=44").json()
    assert ids(bundle) == [str(one.pk)]
    assert "shoe-size" not in link(bundle, "self")
    strict = api.get(f"{FHIR}/Patient?gender=other&shoe-size=44", headers={"Prefer": "handling=strict"})
    assert (strict.status_code, strict.json()["issue"][0]["code"]) == (400, "not-supported")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("birthdate=yesterday", "invalid"),
        ("birthdate=2020-02-31", "invalid"),
        ("birthdate=ap2020", "not-supported"),
        ("family:sounds=x", "not-supported"),
        ("family:missing=true", "not-supported"),
        ("general-practitioner.name=x", "not-supported"),
        ("_count=many", "invalid"),
        ("birthdate=,", "invalid"),
        ("birthdate=ge0001-01-01T00:00:00%2B14:00", "invalid"),
        ("birthdate=2024-01-01T10:00:00.1234567Z", "invalid"),
        ("_lastUpdated=ge9", "invalid"),
        ("_sort=birthdate&_count=5&name:below=1", "not-supported"),
        ("name=%00", "invalid"),
    ],
)
def test_what_cannot_be_searched_by_is_refused_in_a_sentence(api: APIClient, query: str, code: str) -> None:
    answer = api.get(f"{FHIR}/Patient?{query}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, code), answer.content


def test_what_changed_since_a_moment_is_found(api: APIClient) -> None:
    make_patient()
    moment = AuditLog.objects.none()  # nothing was read yet
    assert not moment
    bundle = api.get(f"{FHIR}/Patient").json()
    last = max(entry["resource"]["meta"]["lastUpdated"] for entry in bundle["entry"])
    assert len(found(api, f"Patient?_lastUpdated=ge{last}")) == 1
    assert found(api, "Patient?_lastUpdated=gt2999") == []
