"""Measures the seam: a leased batch against the plain pattern of one lease per row, side by side on the same rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backend.apps.core.bases import uuid7
from backend.apps.laboratory.models import InboundMessage
from workers.runner import drain

ROWS = 4000
BAR = 5.0  # a leased batch with bulk outcomes does at least this many times the rows of a lease per row


def run() -> bool:
    rates = {name: rate(batch, bulk) for name, (batch, bulk) in PATTERNS.items()}
    base = rates["a lease per row"]
    for name, found in rates.items():
        print(f"{found:9,.0f} rows/s  {found / base:5.1f}x  {name}")
    return rates["batch of 500, one outcome statement"] >= BAR * base


PATTERNS: dict[str, tuple[int, bool]] = {
    "a lease per row": (1, False),
    "batch of 100, an outcome per row": (100, False),
    "batch of 500, one outcome statement": (500, True),
}


def rate(batch: int, bulk: bool) -> float:
    InboundMessage.objects.all().delete()
    InboundMessage.all_objects.all()._raw_delete("default")
    InboundMessage.objects.bulk_create(message(number) for number in range(ROWS))
    began = time.perf_counter()
    handled = 0
    while handled < ROWS and drain(InboundMessage, nothing, batch=batch, bulk=bulk) != "nothing due":
        handled += batch
    return ROWS / (time.perf_counter() - began)


def nothing(_message: InboundMessage) -> Mapping[str, Any]:
    return {}


def message(number: int) -> InboundMessage:
    return InboundMessage(
        raw=b"",
        size_bytes=0,
        sha256=f"{number:064x}",
        control_id=str(number),
        due_at=timezone.now() - timedelta(seconds=1),
        dedupe_key=f"bench:{uuid7()}",
    )
