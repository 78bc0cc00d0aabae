"""What a benchmark is held to; without it each would tell its verdict in a way of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Bar(NamedTuple):
    """One promise: what, what was promised, what was measured, and whether that is kept."""

    what: str
    bar: str
    measured: str
    good: bool


def tell(found: Iterable[Bar]) -> bool:
    """Print each promise beside what was measured; return whether all are kept."""
    rows = list(found)
    width = max((len(row.what) for row in rows), default=0)
    for row in rows:
        print(f"{'ok  ' if row.good else 'MISS'}  {row.what:{width}}  {row.measured:>12}  (bar: {row.bar})")
    return all(row.good for row in rows)
