"""Writes a Bundle of resources that are JSON already; building it of objects would cost ten times the search itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from integrations.fhir.values import fragment


class Entry(NamedTuple):
    """One resource of a Bundle: its address, its line, and whether it was found ("match") or brought along."""

    url: str
    line: str
    mode: str = "match"


def searchset(
    entries: Iterable[Entry], *, updated: str, links: Sequence[tuple[str, str]], total: int | None = None
) -> str:
    """Return a searchset. updated: the instant of the answer. links: (relation, address). total: of all pages."""
    head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "meta": {"lastUpdated": updated}}
    if total is not None:
        head |= {"total": total}
    if links:
        head |= {"link": [{"relation": relation, "url": url} for relation, url in links]}
    told = ",".join(
        f'{{"fullUrl":"{url}","resource":{line},"search":{{"mode":"{mode}"}}}}' for url, line, mode in entries
    )
    body = fragment(head)
    return f'{body[:-1]},"entry":[{told}]}}' if told else body  # R4 knows no empty array
