"""The view every FHIR address inherits: who asks, what they may, in which form, and the audit row of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import FormParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from backend.apps.core import audit
from backend.apps.core.models import AuditLog
from backend.apps.core.parsers import StrictJSONParser
from backend.apps.interop.fhir import outcomes
from backend.apps.interop.fhir.outcomes import MEDIA_TYPE, Forbidden, NotFound, Refusal
from backend.apps.interop.fhir.smart.authentication import SmartBearer, client_of
from backend.apps.interop.fhir.smart.scopes import allowed
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.users.authentication import SessionBoundJwt

SPOKEN = frozenset({MEDIA_TYPE, "application/json", "json", "application/*", "*/*"})
VERSIONED = re.compile(r"fhirversion\s*=\s*\"?([0-9.]+)")
WEIGHED = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)")
ACTIONS = {"list": "s", "retrieve": "r"}  # the words of the role tables, and the letters of SMART scopes


def base() -> str:
    """Return the address of the FHIR API, without a slash at its end."""
    return f"{settings.PUBLIC_BASE_URL}/fhir/R4"


def given() -> dict[str, str]:
    """Return the texts that every line needs (see `integrations.fhir.resource.GIVEN`)."""
    return {"base": base(), "mrn_system": settings.FHIR_MRN_SYSTEM}


def may(user: Any, source: Source, action: str) -> bool:
    """Return whether role and, for a client, scopes let the caller "list" or "retrieve" here."""
    return source.may(user, action) and allowed(user, source.type, ACTIONS[action])


class FhirJsonParser(StrictJSONParser):
    media_type = MEDIA_TYPE

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        if not of_our_version((media_type or "").lower()):
            raise Refusal("This server reads FHIR 4.0.", status=415)
        return super().parse(stream, media_type, parser_context)


class PlainJsonParser(FhirJsonParser):
    media_type = StrictJSONParser.media_type


class FhirView(APIView):
    """One address. Writes one audit row for each request, refused ones too; without the row there is no answer.

    verb: what is done here, as the audit names it. Answers are bytes; a refusal is raised as `outcomes.Refusal`, as a
    DomainError or as an exception of REST framework.
    """

    verb: ClassVar[str] = ""
    authentication_classes = [SmartBearer, SessionBoundJwt, SessionAuthentication]
    permission_classes = [IsAuthenticated]
    parser_classes = [FhirJsonParser, PlainJsonParser, FormParser]
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]  # OPTIONS would tell of our own classes
    schema = None  # FHIR describes itself at /metadata
    media_type = MEDIA_TYPE

    def get_exception_handler(self) -> Callable[..., Any]:
        return outcomes.handle

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        self.media_type = MEDIA_TYPE if force else self.spoken(request)
        return JSONRenderer(), self.media_type

    def spoken(self, request: Request) -> str:
        """Return the media type to answer in: FHIR's own, plain JSON where that is asked for before all others."""
        self.headers["Vary"] = "Accept"
        wanted = request.query_params.get("_format", "").replace(" ", "+") or request.headers.get("Accept") or "*/*"
        kinds = [kind.strip().lower() for kind in wanted.split(",")]
        weighed = [(weight(kind), kind) for kind in kinds if kind.split(";")[0].strip() in SPOKEN]
        known = [(weight, kind) for weight, kind in weighed if weight]
        ours = [(weight, kind) for weight, kind in known if of_our_version(kind)]
        if not ours:
            raise Refusal("This server speaks FHIR 4.0." if known else f"This server answers {MEDIA_TYPE}.", status=406)
        best = {kind.split(";")[0].strip() for weight, kind in ours if weight == max(ours)[0]}
        return "application/json" if best == {"application/json"} else MEDIA_TYPE

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}  # which methods there are is told with 405: several views may stand at one address

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        raise not_allowed(self.allowed_methods)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)  # first: the audit row of any refusal names who asked
        if any("\x00" in text for name, values in request.query_params.lists() for text in (name, *values)):
            raise Refusal("A NUL character is not allowed.")
        super().initial(request, *args, **kwargs)

    # What an address is about

    def sources(self, action: str) -> tuple[Source, ...]:
        """Return the sources of the type in the address that the caller may "list" or "retrieve"; never none."""
        known = SOURCES.get(self.kwargs.get("resource_type", ""))
        if not known:
            raise NotFound("There is no such resource type here.")
        found = tuple(source for source in known if may(self.request.user, source, action))
        if not found:
            raise Forbidden
        return found

    def resource_type(self) -> str:
        """Return what the audit row is about: the resource type of the address, when it is one of ours."""
        named = self.kwargs.get("resource_type", "")
        return named if named in SOURCES else type(self).__name__.lower()

    # What is answered

    def respond(self, body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
        return HttpResponse(body, status=status, content_type=self.media_type, headers=dict(headers or {}))

    # What is written down

    def note(self, resource_id: str = "", *, patient_id: UUID | str | None = None, **detail: Any) -> None:
        """Audit what this request did: names, counts and ids, never values; called before the answer is given."""
        self._noted = True
        self._record(resource_id or self._named(), patient_id=patient_id, detail=detail)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)
        if answer.status_code == 403 and client_of(request.user) is not None:
            answer["WWW-Authenticate"] = 'Bearer realm="carerelay", error="insufficient_scope"'
        if not getattr(self, "_noted", False) and self.verb:
            outcome, detail = _outcome_of(answer.status_code), {"status": answer.status_code}
            self._record(self._named(), outcome=outcome, detail=detail)
        return answer

    def _named(self) -> str:
        return str(self.kwargs.get("fhir_id", ""))[:64]

    def _record(self, resource_id: str, *, detail: dict[str, Any], **more: Any) -> None:
        client = client_of(self.request.user)
        told = {**detail, **({"client": str(client.pk)} if client is not None else {})}
        audit.record(self.request, self.verb, self.resource_type(), resource_id, detail=told, **more)


class NoSuchAddress(FhirView):
    """Answers what is no address of ours, and a method that an address does not know."""

    permission_classes = []

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        raise not_allowed(kwargs["known"]) if kwargs.get("known") else NotFound("There is no such address here.")


def by_method(**views: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return one view that hands each method (`get`, `post`, `put`) to a view of its own; HEAD goes with `get`."""
    other, known = NoSuchAddress.as_view(), [name.upper() for name in views]
    if "get" in views and "head" in views["get"].cls.http_method_names:  # type: ignore[attr-defined]  # set by as_view
        known.append("HEAD")

    def handed(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        name = (request.method or "").lower()
        view = views.get("get" if name == "head" else name)
        return view(request, **kwargs) if view else other(request, known=known, **kwargs)

    return csrf_exempt(handed)  # each of them asks for the token of a session itself


def not_allowed(known: Iterable[str], sentence: str = "This cannot be done here.") -> Refusal:
    return Refusal(sentence, status=405, headers={"Allow": ", ".join(known)})


def weight(kind: str) -> float:
    """Return the q of a media range. Source: RFC 9110, 12.4.2."""
    found = WEIGHED.search(kind)
    return float(found[1]) if found else 1.0


def of_our_version(kind: str) -> bool:
    version = VERSIONED.search(kind)
    return version is None or version[1] in {"4.0", "4.0.1"}


def _outcome_of(status: int) -> AuditLog.Outcome:
    if status < 400:
        return AuditLog.Outcome.ALLOWED
    return AuditLog.Outcome.FAILED if status == 400 or status >= 500 else AuditLog.Outcome.REFUSED
