"""The addresses others write to: create and update of the types that have services, by the roles of /api/v1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import parse_qsl

from django.db import connection, transaction
from django.db.models import Q
from rest_framework.request import Request

from backend.apps.core import audit, idempotency
from backend.apps.core.permissions import may
from backend.apps.interop.fhir import door
from backend.apps.interop.fhir.door import FhirJsonParser, FhirView, PlainJsonParser
from backend.apps.interop.fhir.outcomes import Forbidden, NotFound, Refusal
from backend.apps.interop.fhir.smart.authentication import client_of
from backend.apps.interop.fhir.smart.scopes import OURS
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.fhir.writing import orders, patients, visits
from backend.apps.interop.fhir.writing.answers import Standing, Written, written
from backend.apps.interop.fhir.writing.kinds import Kind
from backend.apps.patients.models import Patient
from backend.apps.patients.services import formerly
from integrations.fhir.ingress import checks

KINDS: Mapping[str, Kind] = MappingProxyType({kind.type: kind for kind in (patients.KIND, visits.KIND, orders.KIND)})
UNWRITTEN = frozenset({"resourceType", "id", "meta", "text"})
NOBODYS = "There is no such resource, or it is not yours to see; ids are ours to give."
SYSTEMS_READ = "Systems read here; they never write."


def body_of(request: Request, resource_type: str) -> dict[str, Any]:
    """Return the resource in the body, when it is one of this type."""
    body = request.data
    if not isinstance(body, dict) or body.get("resourceType") != resource_type:
        raise Refusal("The body is not a resource of the type in the address.", code="structure", at=["resourceType"])
    return body


def refuse_misshapen(body: dict[str, Any]) -> None:
    """Refuse a body that has not the shape R4 wants; before anything is locked, for it may take a while."""
    wrong = checks.issues(body)
    if wrong:
        raise Refusal("This is no right resource of FHIR R4.", status=400, issues=wrong)


class Writing(FhirView):
    parser_classes: Any = [FhirJsonParser, PlainJsonParser]

    def kind(self) -> Kind:
        """Return the type in the address, if the caller may do here what the verb says."""
        named = self.kwargs["resource_type"]
        if named not in SOURCES:
            raise door.not_allowed([]) if named in OURS else NotFound("There is no such resource type here.")
        if client_of(self.request.user) is not None:
            raise Forbidden(SYSTEMS_READ)
        if named not in KINDS:
            raise door.not_allowed(["GET", "HEAD"])
        kind = KINDS[named]
        if not may(self.request.user, self.verb, kind.source.permissions):
            raise Forbidden
        return kind

    def answer(self, kind: Kind, row: Any, status: int, elements: Iterable[str] = ()) -> Written:
        """Audit what was done and to which elements, inside the transaction that did it, and answer."""
        standing = Standing(kind, row, role_of(self.request))
        self.note(str(standing.id), patient_id=audit.patient_of(row), elements=sorted(set(elements) - UNWRITTEN))
        return written(self.request, standing, status, self.media_type)


class Create(Writing):
    """POST: a new resource under an id of ours; with If-None-Exist only if there is none of this identifier yet."""

    verb = "create"

    def post(self, request: Request, **kwargs: Any) -> Any:
        kind = self.kind()
        conditional = "If-None-Exist" in request.headers
        wrong = self._misshapen(kind)
        if wrong and not conditional:
            raise wrong

        def act() -> Any:
            return self._existing(kind) or self._created(kind, wrong)

        def replay(fhir_id: str) -> Any:
            mine = kind.source.model._base_manager.all()  # of this key; a doctor sees a patient only once they care
            return self.answer(kind, mine.get(pk=fhir_id), 201)

        def replay_found(fhir_id: str) -> Any:
            return self._found(kind, kind.source.visible(request.user).get(pk=fhir_id))

        return idempotency.once(request, cast(Any, act), cast(Any, replay), replay_found=cast(Any, replay_found))

    def _misshapen(self, kind: Kind) -> Refusal | None:
        """Return why the body cannot be read; a condition that finds what stands is answered all the same."""
        try:
            refuse_misshapen(body_of(self.request, kind.type))
        except Refusal as refusal:
            return refusal
        return None

    def _created(self, kind: Kind, wrong: Refusal | None) -> Written:
        if wrong:
            raise wrong
        body = body_of(self.request, kind.type)
        with kind.refusing():
            row = kind.create(kind.read(body, door.given(), None), by=self.request.user)
        return self.answer(kind, row, 201, body)

    def _existing(self, kind: Kind) -> Written | None:
        """Return the answer when a resource of the identifier in If-None-Exist is there; that was reading."""
        condition = self.request.headers.get("If-None-Exist")
        if condition is None:
            return None
        row = _identified(kind, condition, self.request.user)
        return None if row is None else self._found(kind, row)

    def _found(self, kind: Kind, row: Any) -> Written:
        self._noted = True
        audit.record(self.request, "retrieve", kind.type, str(row.pk), patient_id=audit.patient_of(row))
        return written(self.request, Standing(kind, row, role_of(self.request)), 200, self.media_type)


class Update(Writing):
    """PUT: what stands becomes what the body says, if the body was made from what stands."""

    verb = "update"

    def put(self, request: Request, fhir_id: str, **kwargs: Any) -> Any:
        kind = self.kind()
        body = body_of(request, kind.type)
        if body.get("id") != fhir_id:
            raise Refusal("The id in the body is another than in the address.", at=[f"{kind.type}.id"])
        refuse_misshapen(body)
        with transaction.atomic(), kind.refusing():
            row = self._locked(kind, fhir_id)
            standing = self._standing(kind, row)
            self._refuse_stale(standing)
            row = revised(kind, row, standing, body, by=request.user)
            return self.answer(kind, row, 200, body)

    def _locked(self, kind: Kind, fhir_id: str) -> Any:
        """Return the row, locked. Whoever may not see it learns what is told of an id that is nobody's, as R4 asks."""
        row = seen(kind, fhir_id, self.request.user)
        if row is None:
            raise door.not_allowed(["GET", "HEAD"], NOBODYS)
        return type(row)._base_manager.select_for_update(of=("self",), no_key=True).get(pk=row.pk)

    def _standing(self, kind: Kind, row: Any) -> Standing:
        try:
            return Standing(kind, row, role_of(self.request))
        except NotFound:  # removed or merged, itself or its patient
            raise door.not_allowed(["GET", "HEAD"], NOBODYS) from None

    def _refuse_stale(self, standing: Standing) -> None:
        wanted = self.request.headers.get("If-Match", "")
        if not wanted.strip():
            raise Refusal('Say in If-Match which version you change, as W/"1".', status=428, code="required")
        tags = {tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")}
        if standing.version not in tags and wanted.strip() != "*":
            raise Refusal("Someone else has changed this in the meantime; load it again.", status=412)


def seen(kind: Kind, fhir_id: str, user: Any) -> Any:
    """Return the row of this id, None where there is none or it is not the user's to see."""
    wanted = kind.source.by_id(fhir_id)
    return kind.source.visible(user).filter(wanted).first() if wanted is not None else None


def revised(kind: Kind, row: Any, standing: Standing, body: dict[str, Any], *, by: Any) -> Any:
    """Return the row as the body says it; what it says no otherwise than `standing` is left as it is."""
    held = standing.as_dict()
    said, stands = kind.read(body, door.given(), held), kind.read(held, door.given(), held)
    return kind.update(row, said, stands, by=by)


def role_of(request: Request) -> str:
    return str(request.user.role)  # type: ignore[union-attr]  # a role table let them in


def _identified(kind: Kind, condition: str, user: Any) -> Patient | None:
    """Return the patient of the identifier in a condition such as identifier=system|value, if the caller sees them.

    Who asks for the same identifier at once waits, so that the second finds what the first puts on file.
    """
    asked = parse_qsl(condition.lstrip("?"), keep_blank_values=True)
    if kind is not patients.KIND or [name for name, _ in asked] != ["identifier"]:
        raise Refusal(
            "If-None-Exist takes one identifier of a Patient, as identifier=system|value.",
            status=412,
            code="not-supported",
        )
    system, bar, value = asked[0][1].rpartition("|")
    if (bar and system != door.given()["mrn_system"]) or not value.strip():
        raise Refusal("If-None-Exist names one of our own record numbers.", status=412, code="not-supported")
    number = value.strip().upper()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"patient of {number}"])
    named = Q(medical_record_number=number) | formerly(number)
    found: Patient | None = kind.source.visible(user).filter(named, is_deleted=False).first()
    return found
