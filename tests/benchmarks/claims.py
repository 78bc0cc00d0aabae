"""Measures claims from rows to bytes and from bytes to the ledger, kills workers, and closes with all bars."""

from __future__ import annotations

from tests.benchmarks import bars, claims_building, claims_kill, claims_posting, claims_reading, claims_validity

PARTS = {
    "building": claims_building.bars,
    "reading": claims_reading.bars,
    "posting": claims_posting.bars,
    "validity": claims_validity.bars,
    "killing": claims_kill.bars,
}


def run() -> bool:
    found: list[bars.Bar] = []
    for name, measure in PARTS.items():
        print(f"== {name}")
        found += measure()
    print("== all bars")
    return bars.tell(found)
