"""Proves that the API says of itself what it does, in a form that R4 knows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError
from psycopg.errors import QueryCanceled
from rest_framework.test import APIClient

from backend.apps.interop.fhir import outcomes
from backend.apps.interop.fhir.search.query import of_type
from backend.apps.interop.fhir.sources import SOURCES
from integrations.fhir.checking import faults


@pytest.fixture
def statement() -> dict[str, Any]:
    answer = APIClient().get("/fhir/R4/metadata")  # nobody is signed in, and no database is needed
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/fhir+json")
    body: dict[str, Any] = answer.json()
    return body


def test_the_statement_is_a_sound_resource_that_names_bulk_data_and_where_tokens_are(statement: dict[str, Any]) -> None:
    assert faults(statement) == []
    assert statement["instantiates"] == ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"]
    security = statement["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    uris = security["extension"][0]["extension"]
    assert [(one["url"], one["valueUri"].rpartition("/")[2]) for one in uris] == [("token", "token")]


def test_exports_are_named_in_both_ways_clients_look_for(statement: dict[str, Any]) -> None:
    rest = statement["rest"][0]
    assert [one["name"] for one in rest["operation"]] == ["export"]
    for kind in ("Patient", "Group"):
        told = next(one for one in rest["resource"] if one["type"] == kind)["operation"]
        exports = {one["name"]: one["definition"] for one in told if "export" in one["name"]}
        assert set(exports) == {"export", f"{kind.lower()}-export"}
        assert len(set(exports.values())) == 1


def test_every_type_and_each_of_its_search_parameters_is_there(statement: dict[str, Any]) -> None:
    told = {one["type"]: one for one in statement["rest"][0]["resource"]}
    assert set(told) == {*SOURCES, "Binary"}
    for name in SOURCES:
        assert {one["name"] for one in told[name]["searchParam"]} == set(of_type(name))
        assert told[name]["conditionalRead"] == "not-match"
    assert {"create", "update"} <= {one["code"] for one in told["Patient"]["interaction"]}
    assert {"create", "update"} & {one["code"] for one in told["Observation"]["interaction"]} == set()
    assert "Provenance:target" in told["Observation"]["searchRevInclude"]
    assert "MedicationRequest:medication" in told["MedicationRequest"]["searchInclude"]
    assert "PractitionerRole:practitioner" in told["PractitionerRole"]["searchInclude"]


def test_a_fault_of_our_own_is_noted_without_what_it_quotes(caplog: pytest.LogCaptureFixture) -> None:
    answer = outcomes.handle(ValueError("not a time: Zqname 1980-03-04"), {})
    assert (answer.status_code, json.loads(answer.content)["issue"][0]["code"]) == (500, "exception")
    assert "ValueError" in caplog.text
    assert "Zqname" not in caplog.text


def test_what_the_database_ended_was_too_costly() -> None:
    error = OperationalError("canceling statement due to statement timeout")
    error.__cause__ = QueryCanceled()
    answer = outcomes.handle(error, {})
    (issue,) = json.loads(answer.content)["issue"]
    assert (answer.status_code, issue["code"]) == (503, "too-costly")
    assert "took too long" in issue["diagnostics"]
