"""Asks somebody else's readers what they think of our X12; without it we would only agree with ourselves.

Both readers write what they read into logs; a test's log must not show even a sample, so they are silenced.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pyx12.params
import pyx12.x12n_document
from x12sdk.io import X12ModelReader

QUIET = logging.CRITICAL + 1
KNOWN_TO_PYX12 = {"837", "835", "999"}
KNOWN_TO_X12SDK = {"837", "835", "270", "271", "276", "277"}


def x12valid(content: bytes) -> list[str]:
    """Return the findings of pyx12 and of x12sdk; none is what we want.

    Each judges the transactions it knows: pyx12 knows no 270, 271, 276 or 277 of 005010, x12sdk no 999 and no TA1.
    """
    text = content.decode("ascii")
    kinds = transactions(text)
    findings = by_pyx12(text) if KNOWN_TO_PYX12.intersection(kinds) else []
    return findings + (by_x12sdk(text, len(kinds)) if KNOWN_TO_X12SDK.intersection(kinds) else [])


def transactions(text: str) -> list[str]:
    """Return ST01 of each transaction, by the separators that ISA shows."""
    return re.findall(rf"{re.escape(text[105])}\s*ST{re.escape(text[3])}(\d{{3}})", text)


def by_pyx12(text: str) -> list[str]:
    """Return a sentence for each finding: what is wrong, never the value."""
    logging.getLogger("pyx12").setLevel(QUIET)
    report = io.StringIO()
    if pyx12.x12n_document.x12n_document(pyx12.params.ParamsBase(), io.StringIO(text), None, None, fd_json=report):
        return []
    return [f"pyx12: {found}" for found in _errors(json.loads(report.getvalue()))] or ["pyx12: not valid"]


def _errors(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "err_cde" in node:
            yield f"{node['err_cde']}: {node.get('err_str')}"
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _errors(child)


def by_x12sdk(text: str, expected: int) -> list[str]:
    logging.getLogger("x12sdk").setLevel(QUIET)
    try:
        with X12ModelReader(text) as reader:
            read = sum(1 for _ in reader.models())
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        return [f"x12sdk: {type(problem).__name__}: {str(problem)[:2000]}"]
    return [] if read == expected else [f"x12sdk: {read} of {expected} transactions"]
