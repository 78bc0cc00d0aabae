"""Writes FHIR as others do; without it three files would say how a request looks."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

FHIR = "application/fhir+json"


def post(client: APIClient, body: Any, kind: str = "Patient", **headers: str) -> Any:
    return client.post(f"/fhir/R4/{kind}", body, format="json", headers={"Accept": FHIR, **headers})


def put(client: APIClient, body: Any, version: str = "", **headers: str) -> Any:
    tag = {"If-Match": f'W/"{version}"'} if version else {}
    url = f"/fhir/R4/{body['resourceType']}/{body['id']}"
    return client.put(url, body, format="json", headers={**tag, **headers})


def get(client: APIClient, kind: str, fhir_id: Any) -> dict[str, Any]:
    answer = client.get(f"/fhir/R4/{kind}/{fhir_id}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def codes(answer: Any) -> set[tuple[str, str]]:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    return {(one["code"], one.get("expression", [""])[0]) for one in body["issue"]}
