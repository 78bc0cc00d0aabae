"""What was odd about a message as its row keeps it: places and shapes, no values. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from integrations.hl7.findings import Finding

MOST = 100


def kept(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [finding._asdict() for finding in islice(findings, MOST)]
