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
    return "".join(line(cells) for cells in (heads, *rows))


def line(cells: Iterable[object]) -> str:
    """Return one line of a CSV file, its CR LF too."""
    out = io.StringIO()
    csv.writer(out).writerow(map(safe, cells))
    return out.getvalue()
