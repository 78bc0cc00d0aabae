"""Remembers what is wrong with the books and a person let be; else it would be told daily, or something new never.

Each closing of all of a part keeps in its `books` what of that it found again (`let_be`), and the next one goes on from
there: how much is read does not grow with how often the books were closed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.db.models import F, Func, JSONField

from backend.apps.core.ledger import EXAMPLES
from backend.apps.core.models import Alert, ReconcileRun

KIND = "reconcile_disagrees"
IN_AN_HOUR = re.compile(r"(\d+) of (\d{4}-.+ UTC)")  # as `core.row_tally` names what is gone
UNEXPLAINED = Func(
    F("books"),
    template="jsonb_path_query_array(%(expressions)s, '$.accounts[*] ? (@.unexplained != 0)')",
    output_field=JSONField(),
)


class Wrong(NamedTuple):
    """How many rows a check found, and by the name of each (an id, or an hour) how many of them, up to EXAMPLES."""

    rows: int = 0
    examples: Mapping[str, int] = {}

    @property
    def is_listed(self) -> bool:
        """Whether the examples are all there are."""
        return len(self.examples) < EXAMPLES


def wrong_in(faults: Iterable[Mapping[str, Any]], accounts: Iterable[Mapping[str, Any]]) -> dict[str, Wrong]:
    """Return by check and account what is wrong with books, of their parts as they are told."""
    found = {one["check"]: Wrong(one["count"], dict(map(_counted, one["examples"]))) for one in faults}
    for account in accounts:
        if rows := account["unexplained"]:
            name = f"{account['name']}: {'missing' if rows > 0 else 'too many'}"
            found[name] = Wrong(abs(rows) + found.get(name, Wrong()).rows)
    return found


def found_by(keys: Iterable[Any]) -> list[dict[str, Wrong]]:
    """Return what each of these runs found, without reading all of its books."""
    rows = ReconcileRun.objects.filter(pk__in=list(keys)).values_list("books__faults", UNEXPLAINED)
    return [wrong_in(faults or (), accounts or ()) for faults, accounts in rows]


def has_news(wrong: Mapping[str, Wrong], known: Mapping[str, Wrong]) -> bool:
    """Whether any of this is not known: more rows, or others where all that are known are listed."""
    return any(_is_news(one, known.get(check, Wrong())) for check, one in wrong.items())


def together(all_found: Iterable[Mapping[str, Wrong]], rows: Callable[[int, int], int] = max) -> dict[str, Wrong]:
    """Return all that several closings found, of the same rows or of others. rows: how they are added up by check."""
    total: dict[str, Wrong] = {}
    for found in all_found:
        for check, one in found.items():
            had = total.get(check, Wrong())
            names = had.examples.keys() | one.examples.keys()
            examples = {name: max(had.examples.get(name, 0), one.examples.get(name, 0)) for name in names}
            total[check] = Wrong(max(rows(had.rows, one.rows), sum(examples.values())), examples)
    return total


def still(known: Mapping[str, Wrong], found: Mapping[str, Wrong]) -> dict[str, Wrong]:
    """Return what of that which is known a closing found again."""
    return {check: _still(one, found[check]) for check, one in known.items() if check in found}


def let_be(run: ReconcileRun) -> dict[str, Wrong]:
    """Return what a person let be of a part, and each closing of all of it since then has found as well."""
    closings = ReconcileRun.objects.filter(part=run.part, books__has_key="let_be").exclude(pk=run.pk)
    last = closings.order_by("-created_at", "id").values_list("books__let_be", "books__as_of").first()
    kept, as_of = last or ({}, None)
    settled = Alert.objects.filter(kind=KIND, cause__startswith=cause_of(run.part), resolved_by__isnull=False)
    if as_of:
        settled = settled.filter(resolved_at__gte=as_of)
    newly = found_by(settled.values_list("subject_id", flat=True))
    return together([{check: Wrong(**one) for check, one in kept.items()}, *newly])


def as_kept(known: Mapping[str, Wrong]) -> dict[str, Any]:
    """Return as JSON what `let_be` reads again."""
    return {check: one._asdict() for check, one in known.items()}


def cause_of(part: str) -> str:
    """Return how the causes of a part's alerts begin."""
    return f"reconcile disagrees:{part}:"


def _counted(example: str) -> tuple[str, int]:
    told = IN_AN_HOUR.fullmatch(example)
    return (told[2], int(told[1])) if told else (example, 1)


def _is_news(one: Wrong, known: Wrong) -> bool:
    others = any(rows > known.examples.get(name, 0) for name, rows in one.examples.items())
    return one.rows > known.rows or (known.is_listed and others)


def _still(known: Wrong, found: Wrong) -> Wrong:
    """Return what both found. Where not all of it is listed, what is found and is no more than known counts as that."""
    rows = min(known.rows, found.rows)
    if not found.is_listed:
        return Wrong(rows, known.examples)
    if not known.is_listed:
        return Wrong(rows, found.examples)
    both = known.examples.keys() & found.examples.keys()
    return Wrong(rows, {name: min(known.examples[name], found.examples[name]) for name in both})
