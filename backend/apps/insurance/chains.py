"""Tells which claims are corrections of one; without it what a correction replaces would count as billed beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import connection

CHAINS = """
    WITH RECURSIVE chain AS (
        SELECT id AS key, id, original_id, status, 0 AS steps
        FROM insurance_insuranceclaim WHERE id = ANY(%s::uuid[]) AND original_id IS NOT NULL
        UNION ALL
        SELECT chain.key, before.id, before.original_id, before.status, chain.steps + 1
        FROM chain JOIN insurance_insuranceclaim before ON before.id = chain.original_id
    )
    SELECT key::text, id::text, status FROM chain ORDER BY key, steps"""


class Link(NamedTuple):
    id: str
    status: str


Chains = Mapping[str, Sequence[Link]]


def of(keys: Iterable[str]) -> Chains:
    """Return those of the claims that follow another one: each with itself and all it follows, the first claim last."""
    chains: dict[str, list[Link]] = {}
    with connection.cursor() as cursor:
        cursor.execute(CHAINS, [list(keys)])
        for key, *link in cursor.fetchall():
            chains.setdefault(key, []).append(Link(*link))
    return chains


def in_place_of(key: str, chains: Chains) -> list[str]:
    """Return a claim, and what it follows as far as that was denied: the services of all these may be billed anew."""
    chain, found = chains.get(key, ()), [key]
    for link in chain[1:]:
        if link.status != "denied":
            break
        found.append(link.id)
    return found


def first(key: str, chains: Chains) -> str:
    return chains[key][-1].id if key in chains else key
