"""Opens the sealed columns among a resource's; without it FHIR would tell what the database holds instead of a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import Model

from backend.apps.core import sealed

Rows = list[tuple[str | None, ...]]
SealedColumns = Mapping[str, tuple[type[Model], str]]  # of a resource: the model and its sealed field


def told(model: type[Model], name: str, alias: str = "t") -> str:
    """Return SQL for a sealed text with the key of its row before it; NULL for nothing. `opener` makes text of it."""
    column = sealed.column(model, name).column
    return f"CASE WHEN {alias}.{column} <> '' THEN {alias}.id || ' ' || {alias}.{column} END"


def opener(columns: SealedColumns, names: Sequence[str]) -> Callable[[Rows], Rows] | None:
    """Return what opens the sealed columns in rows that begin with the columns `names`; None where none is sealed."""
    places = [(names.index(name), sealed.column(*of)) for name, of in columns.items() if name in names]
    if not places:
        return None

    def opened(rows: Rows) -> Rows:
        return [_opened(row, places) for row in rows]

    return opened


def _opened(row: tuple[str | None, ...], places: list[tuple[int, sealed.SealedColumn]]) -> tuple[str | None, ...]:
    values = list[Any](row)
    for place, column in places:
        if values[place] is not None:
            key, _, stored = values[place].partition(" ")
            values[place] = column.open(key, stored).strip() or None
    return tuple(values)
