"""$validate: says what is wrong with a resource without keeping it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from rest_framework.request import Request

from backend.apps.core import audit
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.permissions import may
from backend.apps.interop.fhir import door
from backend.apps.interop.fhir.door import FhirJsonParser, FhirView, PlainJsonParser
from backend.apps.interop.fhir.outcomes import NotFound, Refusal, outcome
from backend.apps.interop.fhir.smart.authentication import client_of
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.fhir.writing.answers import Standing
from backend.apps.interop.fhir.writing.kinds import Kind
from backend.apps.interop.fhir.writing.views import KINDS, NOBODYS, revised, seen
from integrations.fhir.ingress import checks
from integrations.fhir.ingress.element import Refused
from integrations.fhir.outcomes import Issue, issue

FINE = issue("informational", "No issues detected.", severity="information")
UNTOLD = issue(
    "informational",
    "Whether the rules of the clinic let this be written is told to who may write it.",
    severity="warning",
)
PARAMETERS: Mapping[str, str] = MappingProxyType({"resource": "resource", "mode": "valueCode", "profile": "valueUri"})
WRITES = frozenset({"create", "update"})
MODES = WRITES | {"delete", "profile"}


class Validate(FhirView):
    """POST a resource, or Parameters with `resource`, `mode` and `profile`. The answer is 200 whatever is wrong.

    Whoever may sign in may ask. Who may write is told too what the rules of the clinic would say of the write: it is
    done and taken back. To all others nothing of the clinic is told.
    """

    verb = "validate"
    tried: str = ""  # the id of what an update was tried on, and the patient whom that is about
    patient_id: UUID | None = None
    parser_classes: Any = [FhirJsonParser, PlainJsonParser]

    def post(self, request: Request, resource_type: str, fhir_id: str = "", **kwargs: Any) -> Any:
        if resource_type not in SOURCES:
            raise NotFound("There is no such resource type here.")
        asked = _asked(request)
        found = self._issues(asked, resource_type, fhir_id)
        if "profile" in asked:
            text = "Profiles are not checked here, only what R4 itself asks for."
            found.append(issue("not-supported", text, severity="warning"))
        self.note(self.tried or fhir_id, patient_id=self.patient_id, issues=len(found))
        return self.respond(orjson.dumps(outcome(found or [FINE])))

    def _issues(self, asked: dict[str, Any], resource_type: str, fhir_id: str) -> list[Issue]:
        resource, mode = asked.get("resource"), asked.get("mode", "")
        if mode == "delete":
            return [issue("not-supported", "Nothing is deleted by FHIR here.")]
        if not isinstance(resource, dict) or resource.get("resourceType") != resource_type:
            return [issue("structure", "This is not of the type in the address.", at=["resourceType"])]
        found = checks.issues(resource)
        if fhir_id and resource.get("id", fhir_id) != fhir_id:
            found.append(issue("invalid", "The id is another than in the address.", at=[f"{resource_type}.id"]))
        if found or mode not in WRITES:
            return found
        if resource_type not in KINDS:
            return [issue("not-supported", "Nobody writes resources of this type here.")]
        kind, user = KINDS[resource_type], self.request.user
        if client_of(user) is not None or not may(user, mode, kind.source.permissions):
            return _of_body(kind, resource, mode)
        return self._of_write(kind, resource, mode, fhir_id or str(resource.get("id", "")))

    def _of_write(self, kind: Kind, resource: dict[str, Any], mode: str, fhir_id: str) -> list[Issue]:
        try:
            with transaction.atomic(), kind.refusing():
                if mode == "create":
                    kind.create(kind.read(resource, door.given(), None), by=self.request.user)
                else:
                    self._update(kind, resource, fhir_id)
                raise _TakenBack
        except _TakenBack:
            return []
        except Refusal as refusal:
            return refusal.issues
        except DomainError as error:
            return [issue("conflict" if isinstance(error, Conflict) else "business-rule", str(error))]

    def _update(self, kind: Kind, resource: dict[str, Any], fhir_id: str) -> None:
        user: Any = self.request.user
        row = seen(kind, fhir_id, user)
        if row is None:
            raise Refusal(NOBODYS, code="not-found", at=[f"{kind.type}.id"])
        self.tried, self.patient_id = fhir_id, audit.patient_of(row)
        revised(kind, row, Standing(kind, row, user.role), resource, by=user)


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
    if not isinstance(told.get("resource"), dict) and told.get("mode") != "delete":
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


def _of_body(kind: Kind, resource: dict[str, Any], mode: str) -> list[Issue]:
    """Return what the body itself shows that a write would be refused for; for who may not write."""
    try:
        kind.read(resource, door.given(), None)
    except Refused as refused:
        return [one for one in refused.issues if mode == "create" or one["code"] != "not-supported"] or [UNTOLD]
    return [UNTOLD]


class _TakenBack(Exception):
    """What was tried went well and is rolled back."""
