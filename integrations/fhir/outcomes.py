"""OperationOutcome: how FHIR says what went wrong; without it a client would have to guess from a status code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Issue = dict[str, Any]


def issue(code: str, sentence: str = "", *, severity: str = "error", at: Sequence[str] = ()) -> Issue:
    """Return one issue. code: of the R4 value set issue-type. at: FHIRPaths of the elements it is about."""
    told: Issue = {"severity": severity, "code": code}
    if sentence:
        told["diagnostics"] = sentence
    if at:
        told["expression"] = list(at)
    return told


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": list(issues)}
