"""Writes CSV that a spreadsheet shows and never runs; without it a patient's name could be a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # wide forms, which Excel reads too


def safe(cell: object) -> str:
    """Return the text of a cell; what a spreadsheet would take for a formula has an apostrophe before it.

    A number stays one: a value that is not text is written as it is.
    """
    text = "" if cell is None else str(cell)
    return f"'{text}" if isinstance(cell, str) and text.lstrip(" ").startswith(STARTS) else text


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the text of a CSV file with these heads; lines end in CR LF. Source: RFC 4180."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(map(safe, heads))
    writer.writerows(map(safe, row) for row in rows)
    return out.getvalue()
