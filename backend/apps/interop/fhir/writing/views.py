"""The addresses others write to: create and update of the types that have services, by the roles of /api/v1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import parse_qsl

from django.db import transaction
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request

from backend.apps.core import audit, idempotency
from backend.apps.core.parsers import StrictJSONParser
from backend.apps.core.permissions import may
from backend.apps.interop.fhir import door
from backend.apps.interop.fhir.door import FhirJsonParser, FhirView
from backend.apps.interop.fhir.outcomes import Forbidden, NotFound, Refusal
from backend.apps.interop.fhir.smart.authentication import client_of
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.fhir.writing import orders, patients, visits
from backend.apps.interop.fhir.writing.answers import Standing, Written, written
from backend.apps.interop.fhir.writing.kinds import Kind
from backend.apps.patients.models import Patient
from integrations.fhir.ingress import checks

KINDS: Mapping[str, Kind] = MappingProxyType({kind.type: kind for kind in (patients.KIND, visits.KIND, orders.KIND)})
UNWRITTEN = frozenset({"resourceType", "id", "meta", "text"})
SYSTEMS_READ = "Systems read here; they never write."


def body_of(request: Request, resource_type: str) -> dict[str, Any]:
    """Return the resource in the body, when it is one of this type."""
    body = request.data
    if not isinstance(body, dict) or body.get("resourceType") != resource_type:
        raise Refusal("The body is not a resource of the type in the address.", code="structure", at=["resourceType"])
    return body


class Writing(FhirView):
    parser_classes: Any = [FhirJsonParser, StrictJSONParser]

    def kind(self) -> Kind:
        """Return the type in the address, if the caller may do here what the verb says."""
        named = self.kwargs["resource_type"]
        if named not in SOURCES:
            raise NotFound("There is no such resource type here.")
        if client_of(self.request.user) is not None:
            raise Forbidden(SYSTEMS_READ)
        if named not in KINDS:
            raise MethodNotAllowed(self.request.method or "")
        kind = KINDS[named]
        if not may(self.request.user, self.verb, kind.source.permissions):
            raise Forbidden
        return kind

    def said(self, kind: Kind, body: dict[str, Any], held: dict[str, Any] | None) -> Any:
        """Return what the body says, once it has the shape that R4 wants and says nothing we cannot keep."""
        wrong = checks.issues(body)
        if wrong:
            raise Refusal("This is no right resource of FHIR R4.", status=400, issues=wrong)
        return kind.read(body, door.given(), held)

    def answer(self, kind: Kind, row: Any, status: int, elements: Iterable[str] = ()) -> Written:
        """Audit what was done and to which elements, inside the transaction that did it, and answer."""
        standing = Standing(kind, row, self.request.user.role)  # type: ignore[union-attr]  # a role table let them in
        self.note(str(standing.id), patient_id=audit.patient_of(row), elements=sorted(set(elements) - UNWRITTEN))
        return written(self.request, standing, status, self.media_type)


class Create(Writing):
    """POST: a new resource under an id of ours; with If-None-Exist only if there is none of this identifier yet."""

    verb = "create"

    def post(self, request: Request, **kwargs: Any) -> Any:
        kind = self.kind()

        def act() -> Any:
            return self._existing(kind) or self._created(kind)

        def replay(fhir_id: str) -> Any:
            return self.answer(kind, kind.source.visible(request.user).get(pk=fhir_id), 201)

        return idempotency.once(request, cast(Any, act), cast(Any, replay))

    def _created(self, kind: Kind) -> Written:
        body = body_of(self.request, kind.type)
        with kind.refusing():
            said = self.said(kind, body, None)
            row = kind.create(said, by=self.request.user)
        return self.answer(kind, row, 201, body)

    def _existing(self, kind: Kind) -> Written | None:
        """Return the answer when a resource of the identifier in If-None-Exist is there."""
        condition = self.request.headers.get("If-None-Exist")
        if condition is None:
            return None
        found = list(_identified(kind, condition, self.request.user)[:2])
        if len(found) > 1:
            raise Refusal("Several resources fit If-None-Exist.", status=412, code="multiple-matches")
        return self.answer(kind, found[0], 200) if found else None


class Update(Writing):
    """PUT: what stands becomes what the body says, if the body was made from what stands."""

    verb = "update"

    def put(self, request: Request, fhir_id: str, **kwargs: Any) -> Any:
        kind = self.kind()
        body = body_of(request, kind.type)
        if body.get("id") != fhir_id:
            raise Refusal("The id in the body is another than in the address.", at=[f"{kind.type}.id"])
        with transaction.atomic(), kind.refusing():
            row = self._locked(kind, fhir_id)
            standing = Standing(kind, row, request.user.role)  # type: ignore[union-attr]  # a role table let them in
            self._refuse_stale(standing)
            said = self.said(kind, body, standing.as_dict())
            return self.answer(kind, kind.update(row, said, by=request.user), 200, body)

    def _locked(self, kind: Kind, fhir_id: str) -> Any:
        """Return the row, locked; whoever may not see it learns 404 and nothing else. Ids are ours to give."""
        wanted = kind.source.by_id(fhir_id)
        row = kind.source.visible(self.request.user).filter(wanted).first() if wanted is not None else None
        if row is None:
            raise NotFound
        return type(row)._base_manager.select_for_update(of=("self",), no_key=True).get(pk=row.pk)

    def _refuse_stale(self, standing: Standing) -> None:
        wanted = self.request.headers.get("If-Match", "")
        if not wanted.strip():
            raise Refusal('Say in If-Match which version you change, as W/"1".', status=428, code="required")
        tags = {tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")}
        if standing.version not in tags:
            raise Refusal("Someone else has changed this in the meantime; load it again.", status=412)


def _identified(kind: Kind, condition: str, user: Any) -> Any:
    """Return the rows the caller may see of the identifier in a condition such as identifier=system|value."""
    asked = parse_qsl(condition.lstrip("?"), keep_blank_values=True)
    if kind is not patients.KIND or [name for name, _ in asked] != ["identifier"]:
        raise Refusal(
            "If-None-Exist takes one identifier of a Patient, as identifier=system|value.",
            status=412,
            code="not-supported",
        )
    system, bar, value = asked[0][1].rpartition("|")
    ours = not bar or system == door.given()["mrn_system"]
    rows = kind.source.visible(user).filter(is_deleted=False, medical_record_number=value.strip().upper())
    return rows if ours and value.strip() else Patient.objects.none()
