"""Brings along what the resources of a page refer to, and what refers to them, as far as the caller may see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from backend.apps.interop.fhir.door import base, may
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.search.asked import Asked, Inclusion
from backend.apps.interop.fhir.search.pages import Hit, some
from backend.apps.interop.fhir.search.query import find, parameters, pointers
from backend.apps.interop.fhir.sources import SOURCES
from integrations.fhir.bundles import Entry

MOST = 2_000  # resources brought along with one page

Ids = dict[str, set[str]]  # by type


def brought(asked: Asked, matches: Sequence[Entry], user: Any) -> list[Hit]:
    """Return what is to be included beside the matches, each once."""
    if not (asked.includes or asked.revincludes) or not matches:
        return []
    own = {entry.url.removeprefix(f"{base()}/") for entry in matches}
    ids = _named(asked, matches)
    _few(sum(map(len, ids.values())), len(matches))
    hits = {f"{hit.source.type}/{hit.id}": hit for hit in named(ids, user)}
    for one in asked.revincludes:
        hits |= {f"{hit.source.type}/{hit.id}": hit for hit in _referring(one, sorted(own), user, MOST - len(hits))}
        _few(len(hits), len(matches))
    return [hit for name, hit in hits.items() if name not in own]


def _few(number: int, matches: int) -> None:
    if number > MOST:
        instead = "ask for fewer with _count" if matches > 1 else "search for it by itself, page by page"
        raise Refusal(f"More than {MOST:,} resources would come along; {instead}.", code="too-costly")


def named(ids: Ids, user: Any) -> Iterator[Hit]:
    """Yield the resources with these ids that the caller may see."""
    for kind, some_ids in ids.items():
        for source in SOURCES.get(kind, ()):
            if may(user, source, "list") and (found := find(source, [("_id", ",".join(sorted(some_ids)))], user)):
                yield from some(source, found, user, len(some_ids))


def _referring(one: Inclusion, targets: list[str], user: Any, room: int) -> Iterator[Hit]:
    """Yield what refers to the targets; of each source one more than there is room for."""
    of, name, _ = one
    for source in SOURCES[of]:
        if name in parameters(source) and may(user, source, "list"):
            found = find(source, [(name, ",".join(targets))], user)
            yield from some(source, found, user, room + 1) if found else ()


def _named(asked: Asked, matches: Sequence[Entry]) -> Ids:
    """Return the ids that the included parameters of the matches refer to."""
    ids: Ids = defaultdict(set)
    bodies = [orjson.loads(entry.line) for entry in matches] if asked.includes else []
    for of, name, target in asked.includes:
        for param in pointers(of, name):
            for reference in (found for body in bodies for found in references(body, param.element)):
                kind, _, fhir_id = reference.partition("/")
                if kind in param.targets and target in {"", kind}:
                    ids[kind].add(fhir_id)
    return ids


def references(body: Any, element: str) -> Iterator[str]:
    """Yield the relative references at a path such as "participant.individual"."""
    first, _, rest = element.partition(".")
    for member in _listed(body.get(first) if isinstance(body, dict) else None):
        if rest:
            yield from references(member, rest)
        elif isinstance(member, dict) and isinstance(member.get("reference"), str):
            yield member["reference"]


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
