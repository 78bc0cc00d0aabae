"""Answers all that is on file of one patient: what is theirs, and the people, places and drugs it names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.http import HttpResponse
from rest_framework.request import Request

from backend.apps.interop.fhir.door import FhirView, base, may
from backend.apps.interop.fhir.outcomes import BadSearch
from backend.apps.interop.fhir.reading import none, read
from backend.apps.interop.fhir.search import asked as asking
from backend.apps.interop.fhir.search import cursors, includes, pages
from backend.apps.interop.fhir.search.asked import Asked
from backend.apps.interop.fhir.search.pages import Hit, Place
from backend.apps.interop.fhir.search.query import Params, parameters
from backend.apps.interop.fhir.search.views import now, pairs_of
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources import ALL, SOURCES
from integrations.fhir.bundles import Entry, searchset

OWN = tuple(source for source in ALL if source.patient and not source.system_only)
BESIDE = frozenset({"Practitioner", "Organization", "Location", "Medication"})
DATES = ("date", "authored", "authoredon", "service-date", "collected")  # when the care was, whatever it is called
TOLD = frozenset({"start", "end", "_since", "_type", "_count", "_cursor", "_format"})


class Everything(FhirView):
    """`Patient/[id]/$everything`, a page at a time; what the caller's role does not see is left out."""

    verb = "everything"

    def get(self, request: Request, fhir_id: str, **_kwargs: Any) -> HttpResponse:
        sources = self.sources("retrieve")
        if not any(read(source, fhir_id, request.user) for source in sources):
            raise none(sources, fhir_id, request.user)
        told = self._told(request)
        asked, types, after = self._asked(fhir_id, told)

        def params(source: Source) -> Params | None:
            wanted = not types or source.type in types or types & BESIDE  # any of the patient's may name those
            allowed = may(request.user, source, "list") and wanted
            return _narrowed(source, fhir_id, asked.params) if allowed else None

        hits, more = pages.page(asked, OWN, request.user, after, params=params)
        return self._answered(fhir_id, asked, types, hits, told=told, more=more)

    post = get

    def _told(self, request: Request) -> dict[str, str]:
        """Return the parameters, of the address, of a form or of a Parameters resource."""
        if isinstance(request.data, dict) and request.data.get("resourceType") == "Parameters":
            listed = request.data.get("parameter")
            given = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            pairs = [(str(one.get("name")), str(_value_of(one))) for one in given]
        else:
            pairs = pairs_of(request)
        if {name for name, _ in pairs} - TOLD:
            raise BadSearch(f"$everything knows {', '.join(sorted(TOLD))}.", code="not-supported")
        return {name: ",".join(value for key, value in pairs if key == name) for name, _ in pairs}

    def _asked(self, fhir_id: str, told: dict[str, str]) -> tuple[Asked, frozenset[str], Place | None]:
        if "_cursor" in told:
            return cursors.opened(told["_cursor"], self.request.user, f"everything {fhir_id}", _opened)
        types = frozenset(filter(None, told.get("_type", "").split(",")))
        if types - set(SOURCES):
            raise BadSearch("_type names a resource type that is not here.", code="not-supported")
        wanted = {"_lastUpdated": ("ge", "_since"), "start": ("ge", "start"), "end": ("le", "end")}
        params = [(name, f"{sign}{told[key]}") for name, (sign, key) in wanted.items() if told.get(key)]
        count = asking.read("Patient", [("_count", told.get("_count", ""))], strict=True).count
        return Asked("Patient", tuple(params), count), types, None

    def _answered(
        self,
        fhir_id: str,
        asked: Asked,
        types: frozenset[str],
        hits: list[Hit],
        *,
        told: dict[str, str],
        more: bool,
    ) -> HttpResponse:
        told_of = [hit for hit in hits if not types or hit.source.type in types]
        named = _beside(pages.entries(hits))
        wanted = {kind: ids for kind, ids in named.items() if not types or kind in types}
        beside = list(includes.named(wanted, self.request.user))
        counts = Counter(hit.source.type for hit in (*told_of, *beside))
        ids = [f"{hit.source.type}/{hit.id}" for hit in told_of]
        self.note(fhir_id, patient_id=UUID(fhir_id), count=len(told_of), types=dict(counts), ids=ids)
        address = f"{base()}/Patient/{fhir_id}/$everything"
        links = [("self", f"{address}?{urlencode(told, safe=',:')}" if told else address)]
        if more:
            kept = {"asked": asked.to_json(), "types": sorted(types), "after": list(hits[-1].place)}
            cursor = cursors.sealed(self.request.user, f"everything {fhir_id}", **kept)
            links.append(("next", f"{address}?_cursor={cursor}"))
        entries = [
            *pages.entries(told_of), *pages.entries(beside, "include"), *pages.left_out([*told_of, *beside]),
        ]  # fmt: skip
        return self.respond(searchset(entries, updated=now(), links=links))


def _opened(kept: dict[str, Any]) -> tuple[Asked, frozenset[str], Place | None]:
    return Asked.from_json(kept["asked"]), frozenset(kept["types"]), Place(*kept["after"])


def _narrowed(source: Source, fhir_id: str, params: Params) -> Params:
    """Return what finds the patient's resources in this source; dates hold where it has a date of care."""
    date = next((name for name in DATES if name in parameters(source)), "")
    told = [(date if name in {"start", "end"} else name, value) for name, value in params]
    of = "_id" if source.type == "Patient" else "patient"
    return [(of, fhir_id), *((name, value) for name, value in told if name)]


def _value_of(parameter: dict[str, Any]) -> Any:
    return next((value for name, value in parameter.items() if name.startswith("value")), "")


def _beside(matches: Iterable[Entry]) -> includes.Ids:
    ids: includes.Ids = defaultdict(set)
    for entry in matches:
        for reference in _references(orjson.loads(entry.line)):
            kind, _, fhir_id = reference.partition("/")
            if kind in BESIDE:
                ids[kind].add(fhir_id)
    return ids


def _references(value: Any) -> Iterator[str]:
    """Yield every reference in a resource."""
    if isinstance(value, dict):
        if isinstance(told := value.get("reference"), str):
            yield told
        for member in value.values():
            yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)
