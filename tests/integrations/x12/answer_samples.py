"""Finds the sample answers and writes what is read down for comparing; without it each test would do both by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from integrations.x12 import ack_999, balance, eligibility_271, remittance_835, segments, sniff, status_277, ta1
from integrations.x12.answer_records import Transaction
from integrations.x12.sniff import Kind

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "x12" / "answers"
SAMPLES = sorted(FOLDER.glob("*.x12"))
READERS: dict[Kind, Callable[[Transaction], Any]] = {
    Kind.INTERCHANGE_ACKNOWLEDGEMENT: ta1.read,
    Kind.ACKNOWLEDGEMENT: ack_999.read,
    Kind.CLAIM_ACKNOWLEDGEMENT: status_277.read,
    Kind.CLAIM_STATUS: status_277.read,
    Kind.REMITTANCE: remittance_835.read,
    Kind.ELIGIBILITY: eligibility_271.read,
}


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.x12").read_bytes()


def only(content: bytes) -> Transaction:
    """Return the first transaction of a file, its segments still to be walked."""
    return next(segments.read(content))


def kind_of(content: bytes) -> Kind:
    """Return the kind of the first transaction of a file; TA1 only where there is nothing else."""
    kinds = [sniff.of_transaction(transaction) for transaction in segments.read(content)]
    return next((kind for kind in kinds if kind != Kind.INTERCHANGE_ACKNOWLEDGEMENT), kinds[0])


def read(content: bytes) -> Iterator[Any]:
    """Yield what the reader of each transaction's kind makes of it, nothing for kinds without a reader."""
    for transaction in segments.read(content):
        reader = READERS.get(sniff.of_transaction(transaction))
        if reader:
            yield reader(transaction)


def imbalances(content: bytes) -> list[Any]:
    return [tuple(found) for found in balance.check(remittance_835.read(only(content)))]


def written(content: bytes) -> list[Any]:
    """Return everything read as JSON would hold it, without what is empty."""
    return [_filled(json.loads(json.dumps(_plain(found), default=str))) for found in read(content)]


def _plain(value: Any) -> Any:
    """Return records as dictionaries by field name, iterators as lists."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list, Iterator)) else value


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: kept for key, inner in value.items() if (kept := _filled(inner)) not in ("", None, [], {})}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value
