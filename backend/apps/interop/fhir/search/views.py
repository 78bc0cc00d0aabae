"""Answers searches: `GET [type]` and `POST [type]/_search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Turn:
    """One page of a search. total: None where the first page found too many to count, unless nothing was counted yet.

    since: when the first page was answered, "" while it is. What changed later is for the next search.
    """

    asked: Asked
    after: Place | None = None
    total: int | None = None
    counted: bool = False
    since: str = ""

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Turn:
        after = Place(*told["after"]) if told["after"] else None
        return cls(Asked.from_json(told["asked"]), after, told["total"], told["counted"], told["since"])


class Search(FhirView):
    verb = "list"
    begun = ""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.begun = timezone.now().strftime(pages.SORTED)
        super().initial(request, *args, **kwargs)

    def get(self, request: Request, resource_type: str, **_kwargs: Any) -> HttpResponse:
        sources = self.sources("list")
        turn = self._turn(resource_type)
        asked = turn.asked
        if asked.only_count:
            return self._counted(turn, pages.count(asked, sources, request.user))
        hits, more = pages.page(asked, sources, request.user, turn.after, until=turn.since)
        if asked.total and not turn.counted:
            total = pages.count(asked, sources, request.user) if more or turn.after else len(hits)
            turn = replace(turn, total=total, counted=True)
        return self._answered(turn, hits, more=more)

    post = get

    def _turn(self, resource_type: str) -> Turn:
        """Return which page of which search this is."""
        pairs = pairs_of(self.request)
        cursor = dict(pairs).get("_cursor", "")
        if not cursor:
            return Turn(asking.read(resource_type, pairs, strict=strict(self.request)))
        return cursors.opened(cursor, self.request.user, f"search {resource_type}", Turn.from_json)

    def _counted(self, turn: Turn, total: int | None) -> HttpResponse:
        self.note(count=total, filters=sorted({name for name, _ in turn.asked.params}))
        return self.respond(searchset((), updated=now(), links=self._links(turn), total=total))

    def _answered(self, turn: Turn, hits: list[Hit], *, more: bool) -> HttpResponse:
        matches = pages.entries(hits)
        beside = includes.brought(turn.asked, matches, self.request.user)
        told: dict[str, Any] = {"included": [f"{hit.source.type}/{hit.id}" for hit in beside]} if beside else {}
        told |= {"count": len(hits), "ids": [hit.id for hit in hits]}
        if patients := sorted({hit.patient for hit in (*hits, *beside) if hit.patient}):
            told["patients"] = patients
        self.note(filters=sorted({name for name, _ in turn.asked.params}), **told)
        following = replace(turn, after=hits[-1].place, since=turn.since or self.begun) if more else None
        entries = [*matches, *pages.entries(beside, "include"), *pages.left_out([*hits, *beside])]
        return self.respond(searchset(entries, updated=now(), links=self._links(turn, following), total=turn.total))

    def _links(self, turn: Turn, following: Turn | None = None) -> Sequence[tuple[str, str]]:
        """Return the links of the page; parameters that may name a person stand in none of them."""
        at = f"{base()}/{turn.asked.type}"
        sealed = turn.asked.private or turn.after is not None
        links = [("self", f"{at}?_cursor={self._cursor(turn)}" if sealed else f"{at}?{turn.asked.query()}")]
        if following is not None:
            links.append(("next", f"{at}?_cursor={self._cursor(following)}"))
        return links

    def _cursor(self, turn: Turn) -> str:
        if turn.after is None:
            turn = Turn(turn.asked)  # asked again, the first page is counted again
        told = {"asked": turn.asked.to_json(), "after": turn.after and list(turn.after), "total": turn.total}
        kind = f"search {turn.asked.type}"
        return cursors.sealed(self.request.user, kind, counted=turn.counted, since=turn.since, **told)
