"""Answers searches: `GET [type]` and `POST [type]/_search`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from backend.apps.interop.fhir.door import FhirView, base
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.search import asked as asking
from backend.apps.interop.fhir.search import cursors, includes, pages
from backend.apps.interop.fhir.search.asked import Asked
from backend.apps.interop.fhir.search.pages import Hit, Place
from integrations.fhir.bundles import searchset


def strict(request: Request) -> bool:
    """Return whether the caller prefers a refusal to an answer that leaves something out."""
    words = request.headers.get("Prefer", "").replace(";", ",").split(",")
    return "handling=strict" in [word.strip().lower() for word in words]


def pairs_of(request: Request) -> list[tuple[str, str]]:
    """Return the parameters of the address and, for POST, of the form, as they were sent."""
    told = [(name, value) for name, values in request.query_params.lists() for value in values]
    if request.method != "POST":
        return told
    if not hasattr(request.data, "lists"):
        raise Refusal("The parameters of a search are sent as a form.", status=415)
    form = [(name, str(value)) for name, values in request.data.lists() for value in values]
    if any("\x00" in text for pair in form for text in pair):
        raise Refusal("A NUL character is not allowed.")
    return told + form


def now() -> str:
    return timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Search(FhirView):
    verb = "list"

    def get(self, request: Request, resource_type: str, **_kwargs: Any) -> HttpResponse:
        sources = self.sources("list")
        pairs = pairs_of(request)
        asked, after, total = self._asked(resource_type, pairs, dict(pairs).get("_cursor", ""))
        if asked.only_count:
            return self._counted(asked, pages.count(asked, sources, request.user))
        hits, more = pages.page(asked, sources, request.user, after)
        if total is None and asked.total:
            total = pages.count(asked, sources, request.user) if more or after else len(hits)
        return self._answered(asked, hits, total, more=more, first=after is None)

    post = get

    def _asked(self, resource_type: str, pairs: asking.Pairs, cursor: str) -> tuple[Asked, Place | None, int | None]:
        """Return the search, where it goes on, and the total that its first page told."""
        if not cursor:
            return asking.read(resource_type, pairs, strict=strict(self.request)), None, None
        told = cursors.opened(cursor, self.request.user)
        if told.get("asked", {}).get("type") != resource_type:
            raise Refusal("This link is not one of ours, or not yours: search again.", code="value")
        after = Place(*told["after"]) if told.get("after") else None
        return Asked.from_json(told["asked"]), after, told.get("total")

    def _counted(self, asked: Asked, total: int | None) -> HttpResponse:
        self.note(count=total, filters=sorted({name for name, _ in asked.params}))
        return self.respond(searchset((), updated=now(), links=self._links(asked), total=total))

    def _answered(self, asked: Asked, hits: list[Hit], total: int | None, *, more: bool, first: bool) -> HttpResponse:
        matches = [hit.entry() for hit in hits]
        beside = includes.brought(asked, matches, self.request.user)
        told: dict[str, Any] = {"included": [f"{hit.source.type}/{hit.id}" for hit in beside]} if beside else {}
        told |= {"count": len(hits), "ids": [hit.id for hit in hits]}
        self.note(filters=sorted({name for name, _ in asked.params}), **told)
        after = hits[-1].place if more else None
        entries = [*matches, *(hit.entry("include") for hit in beside)]
        return self.respond(
            searchset(entries, updated=now(), links=self._links(asked, after, total, first=first), total=total)
        )

    def _links(
        self, asked: Asked, after: Place | None = None, total: int | None = None, *, first: bool = True
    ) -> Sequence[tuple[str, str]]:
        """Return the links of the page; parameters that may name a person stand in none of them."""
        at = f"{base()}/{asked.type}"
        sealed = asked.private or not first
        own = f"{at}?_cursor={self._cursor(asked)}" if sealed else f"{at}?{asked.query()}"
        links = [("self", own)]
        if after is not None:
            links.append(("next", f"{at}?_cursor={self._cursor(asked, after=list(after), total=total)}"))
        return links

    def _cursor(self, asked: Asked, **more: Any) -> str:
        return cursors.sealed(self.request.user, asked=asked.to_json(), **more)
