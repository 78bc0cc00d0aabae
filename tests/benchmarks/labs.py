"""Measures the laboratory's whole way, reading, intake and filing, and closes with one table of all its bars."""

from __future__ import annotations

from tests.benchmarks import bars, labs_filing, labs_intake, labs_read

PARTS = {"reading": labs_read.bars, "intake": labs_intake.bars, "filing": labs_filing.bars}


def run() -> bool:
    found: list[bars.Bar] = []
    for name, measure in PARTS.items():
        print(f"== {name}")
        found += measure()
    print("== all bars")
    return bars.tell(found)
