"""$validate: says what is wrong with a resource without keeping it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
from rest_framework.request import Request

from backend.apps.core.parsers import StrictJSONParser
from backend.apps.interop.fhir import door
from backend.apps.interop.fhir.door import FhirJsonParser, FhirView
from backend.apps.interop.fhir.outcomes import NotFound, Refusal, outcome
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.fhir.writing.views import KINDS
from integrations.fhir.ingress import checks
from integrations.fhir.ingress.element import Refused
from integrations.fhir.outcomes import Issue, issue

FINE = issue("informational", "No issues detected.", severity="information")
PARAMETERS: Mapping[str, str] = MappingProxyType({"resource": "resource", "mode": "valueCode", "profile": "valueUri"})
WRITES = frozenset({"create", "update"})
MODES = WRITES | {"delete", "profile"}


class Validate(FhirView):
    """POST a resource, or Parameters with `resource`, `mode` and `profile`. The answer is 200 whatever is wrong.

    Whoever may sign in may ask: nothing of the clinic is told.
    """

    verb = "validate"
    parser_classes: Any = [FhirJsonParser, StrictJSONParser]

    def post(self, request: Request, resource_type: str, fhir_id: str = "", **kwargs: Any) -> Any:
        if resource_type not in SOURCES:
            raise NotFound("There is no such resource type here.")
        asked = _asked(request)
        found = _issues(asked["resource"], resource_type, asked.get("mode", ""), fhir_id)
        if "profile" in asked:
            text = "Profiles are not checked here, only what R4 itself asks for."
            found.append(issue("not-supported", text, severity="warning"))
        self.note(fhir_id, issues=len(found))
        return self.respond(orjson.dumps(outcome(found or [FINE])))


def _asked(request: Request) -> dict[str, Any]:
    """Return `resource`, and `mode` and `profile` where they are said in the address or in Parameters."""
    told: dict[str, Any] = {
        name: request.query_params[name] for name in ("mode", "profile") if name in request.query_params
    }
    body = request.data
    if isinstance(body, dict) and body.get("resourceType") == "Parameters":
        told |= _parameters(body.get("parameter"))
    else:
        told["resource"] = body
    if not isinstance(told.get("resource"), dict):
        raise Refusal("There is no resource in the body.", code="structure")
    if str(told.get("mode", "profile")) not in MODES:
        raise Refusal("mode is create, update, delete or profile.", at=["mode"])
    return told


def _parameters(said: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for one in said if isinstance(said, list) else []:
        name = str(one.get("name")) if isinstance(one, dict) else ""
        if name not in PARAMETERS or one.get(PARAMETERS[name]) is None:
            raise Refusal("The parameters are resource, mode (valueCode) and profile (valueUri).", code="structure")
        told[name] = one[PARAMETERS[name]]
    return told


def _issues(resource: dict[str, Any], resource_type: str, mode: str, fhir_id: str) -> list[Issue]:
    if resource.get("resourceType") != resource_type:
        return [issue("structure", "This is not of the type in the address.", at=["resourceType"])]
    found = checks.issues(resource)
    if fhir_id and resource.get("id", fhir_id) != fhir_id:
        found.append(issue("invalid", "The id is another than in the address.", at=[f"{resource_type}.id"]))
    if not found and mode in WRITES and resource_type in KINDS:
        try:
            KINDS[resource_type].read(resource, door.given(), None)
        except Refused as refused:
            return refused.issues
    return found
