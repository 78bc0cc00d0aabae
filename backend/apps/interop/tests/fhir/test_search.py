"""Proves that searches find what they say, page by page, and tell nobody's name in a link."""

from __future__ import annotations

import re
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F, Q
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog
from backend.apps.core.seals import seal
from backend.apps.insurance.tests.factories import make_provider
from backend.apps.interop.fhir.search import cursors
from backend.apps.interop.fhir.search.kinds import NOTHING, any_of
from backend.apps.interop.fhir.search.values import split, token
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_result
from backend.apps.patients.models import Patient
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
        "given=q",
        "name=q",
        "gender=http://hl7.org/fhir/administrative-gender|female",
        "birthdate=le1980-05-17T10:00:00Z&birthdate=ge1980-05-17T10:00:00Z",
    ):
        assert found(api, f"Patient?{query}") == [str(one.pk)], query
    for query in (
        "birthdate=gt1980-05-17&birthdate=lt1981-05-17",
        "birthdate=1980-05-17T10:00:00Z",
        "gender=urn:other|female",
        "gender=|female",
    ):
        assert found(api, f"Patient?{query}") == [], query


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


def follow(api: APIClient, url: str) -> dict[str, Any]:
    """Return the Bundle at a link."""
    body: dict[str, Any] = api.get(url.partition(":8000")[2]).json()
    return body


def test_the_self_link_of_every_page_answers_that_page_again(api: APIClient) -> None:
    for _ in range(5):
        make_patient(last_name="Many")
    page = api.get(f"{FHIR}/Patient?family=Many&_count=2&_total=accurate").json()
    while page:
        again = follow(api, link(page, "self"))
        assert (ids(again), again["total"]) == (ids(page), page["total"])
        page = follow(api, link(page, "next")) if link(page, "next") else {}
    counted = api.get(f"{FHIR}/Patient?family=Many&_summary=count").json()
    assert "entry" not in follow(api, link(counted, "self"))


def test_sorted_by_change_a_row_that_changes_between_two_pages_comes_once(api: APIClient) -> None:
    made = [make_provider() for _ in range(3)]
    first = api.get(f"{FHIR}/Organization?_sort=_lastUpdated&_count=2").json()
    seen = ids(first)
    moved = next(one for one in made if str(one.pk) in seen)
    moved.save()
    page = first
    while link(page, "next"):
        page = follow(api, link(page, "next"))
        seen += ids(page)
    assert len(seen) == len(set(seen))
    assert {str(one.pk) for one in made} <= set(seen)


def test_a_page_is_asked_for_by_one_statement_however_many_another_source_gave(api: APIClient) -> None:
    order = make_lab_order()
    for at in range(2):
        make_lab_result(lab_order=order), make_lab_result(lab_order=order)
        with CaptureQueriesContext(connection) as asked:
            page = api.get(f"{FHIR}/Observation?patient={order.patient_id}&_count=5&_total=none").json()
        assert len(ids(page)) == 2 * at + 2
        limits = [limit for query in asked for limit in re.findall(r"LIMIT (\d+)$", query["sql"])]
        assert len(limits) > 1
        assert set(limits) == {"6"}


@pytest.mark.parametrize("sort", ["_lastUpdated", "-_lastUpdated"])
def test_sorted_by_change_all_patients_come_in_that_order_by_an_index(api: APIClient, sort: str) -> None:
    made = [make_patient() for _ in range(5)]
    made.append(made.pop(1))
    made[-1].save()
    page = api.get(f"{FHIR}/Patient?_sort={sort}&_count=2").json()
    seen = ids(page)
    while link(page, "next"):
        page = follow(api, link(page, "next"))
        seen += ids(page)
    assert seen == [str(one.pk) for one in (made if sort == "_lastUpdated" else made[::-1])]
    with CaptureQueriesContext(connection) as asked:
        api.get(f"{FHIR}/Patient?_sort={sort}&_count=2&_total=none")
    assert "ORDER BY t.updated_at" in asked[0]["sql"]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {asked[0]['sql']}")
        assert "patient_changed" in "".join(line for (line,) in cursor.fetchall())


def test_what_is_too_many_to_count_is_not_counted_again_on_the_next_page(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_patient(), make_patient(), make_patient()
    monkeypatch.setattr("backend.apps.interop.fhir.search.pages.COUNTED", 1)
    first = api.get(f"{FHIR}/Patient?_count=1").json()
    assert "total" not in first
    with CaptureQueriesContext(connection) as asked:
        assert "total" not in follow(api, link(first, "next"))
    assert not any("count(" in query["sql"] for query in asked)


def test_a_cursor_opens_the_list_it_was_made_for_alone(api: APIClient) -> None:
    one, user = make_patient(), make_user(role="admin")
    api = client_for(user)
    make_appointment(patient=one)
    chart = link(api.get(f"{FHIR}/Patient/{one.pk}/$everything?_count=1").json(), "next")
    shapeless = cursors.sealed(user, "search Patient", asked={"type": "Patient", "colour": 1}, after=[1], total=None)
    for query in (chart.partition("?")[2], f"_cursor={shapeless}", f"_cursor={seal('[]')}", f"_cursor={seal('x')}"):
        answer = api.get(f"{FHIR}/Patient?{query}")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "value"), answer.content


def test_the_values_of_a_search_are_read_in_time_that_grows_with_their_length() -> None:
    assert split("x" * 200_000 + "\\") == ["x" * 200_000 + "\\"]  # read anew from every place it takes many minutes
    assert split("a\\,b,c\\\\,\\|d\\") == ["a\\,b", "c\\\\", "\\|d\\"]
    assert token(r"a\\|b") == ("a\\", "b")
    assert token(r"a\|b|c") == ("a|b", "c")


def test_alternatives_of_one_column_become_one_list() -> None:
    keys = [f"{number}" for number in range(3)]
    assert any_of(Q(pk=key) for key in keys) == NOTHING | Q(pk__in=keys)
    assert any_of(Q(kind="a", name=key) for key in keys) == NOTHING | Q(("kind", "a"), ("name__in", keys))
    assert any_of([Q(a=1), Q(b__startswith="x"), ~Q(a=2)]) == NOTHING | Q(a=1) | Q(b__startswith="x") | ~Q(a=2)


def test_sorting_is_for_what_is_few(api: APIClient) -> None:
    payer, visit = make_provider(), make_appointment(status="completed")
    assert str(payer.pk) in found(api, "Organization?_sort=-_lastUpdated")
    day = visit.appointment_datetime.astimezone(UTC).date()
    one_day = f"Appointment?practitioner={visit.doctor_id}&date=ge{day}&date={day}&_sort=date"
    assert found(api, one_day) == [str(visit.pk)]
    for query in (
        f"Appointment?practitioner={visit.doctor_id}&_sort=date",
        "Patient?birthdate=gt1900&_sort=birthdate",
        "Patient?name=a&_sort=birthdate",
        "Observation?performer=Organization/1&_sort=date",
    ):
        answer = api.get(f"{FHIR}/{query}")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly"), query


def test_a_visit_is_found_by_where_a_resource_names_it(api: APIClient) -> None:
    came, waits = make_appointment(status="completed"), make_appointment(status="scheduled")
    of_came = make_lab_order(patient=came.patient, doctor=came.doctor, appointment=came)
    make_lab_order(patient=waits.patient, doctor=waits.doctor, appointment=waits)
    assert found(api, f"ServiceRequest?encounter={came.pk}") == [str(of_came.pk)]
    assert found(api, f"ServiceRequest?encounter={waits.pk}") == []
    assert found(api, f"ServiceRequest?patient=urn:uuid:{came.patient_id}") == []


def test_what_is_brought_along_is_bounded_and_comes_with_the_elements_that_name_it(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_lab_order()
    along = "_include=ServiceRequest:patient&_include=ServiceRequest:requester"
    bundle = api.get(f"{FHIR}/ServiceRequest?_elements=status&{along}&{along}").json()
    assert sorted(ids(bundle, "include")) == sorted([str(order.patient_id), str(order.doctor_id)])
    assert link(bundle, "self").count("_include") == 2
    monkeypatch.setattr("backend.apps.interop.fhir.search.includes.MOST", 1)
    refused = api.get(f"{FHIR}/ServiceRequest?{along}")
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (400, "too-costly")
    monkeypatch.setattr("backend.apps.interop.fhir.search.asked.MOST_INCLUSIONS", 1)
    assert api.get(f"{FHIR}/ServiceRequest?{along}").status_code == 400


def test_elements_that_are_not_known_are_refused_when_strict_alone(api: APIClient) -> None:
    assert found(api, "Patient?_elements=shoeSize") == []
    strict = api.get(f"{FHIR}/Patient?_elements=shoeSize", headers={"Prefer": "handling=strict"})
    assert (strict.status_code, strict.json()["issue"][0]["code"]) == (400, "not-supported")


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
    assert row.detail == {"count": 1, "ids": [str(one.pk)], "filters": ["family"], "patients": [str(one.pk)]}


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
    assert "birthdate" in strict.json()["issue"][0]["diagnostics"]
    assert "shoe" not in strict.json()["issue"][0]["diagnostics"]


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
        ("gender=|", "invalid"),
        ("_total=most", "invalid"),
        ("_id=" + ",".join(["1"] * 201), "too-costly"),
        ("_id=" + ",".join(str(number) * 12 for number in range(110, 210)) + "&_id=" + "0," * 199, "too-costly"),
        ("&".join(["_id=" + "1," * 200] * 6), "too-costly"),
        ("name=" + "x" * 2001, "too-long"),
        ("name:contains=" + "x," * 1500 + "\\", "too-costly"),
    ],
)
def test_what_cannot_be_searched_by_is_refused_in_a_sentence(api: APIClient, query: str, code: str) -> None:
    answer = api.get(f"{FHIR}/Patient?{query}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, code), answer.content


def test_what_changed_since_a_moment_is_found(api: APIClient) -> None:
    before, after = make_patient(), make_patient()
    Patient.objects.filter(pk=before.pk).update(updated_at=F("updated_at") - timedelta(milliseconds=1))
    told = {one: api.get(f"{FHIR}/Patient/{one.pk}").json()["meta"]["lastUpdated"] for one in (before, after)}
    assert found(api, f"Patient?_lastUpdated=ge{told[after]}") == [str(after.pk)]
    assert found(api, f"Patient?_lastUpdated=lt{told[after]}") == [str(before.pk)]
    assert sorted(found(api, f"Patient?_lastUpdated=ge{told[before]}")) == sorted([str(before.pk), str(after.pk)])
    assert found(api, "Patient?_lastUpdated=gt2999") == []
