"""Measures the sweeps and what an operator sees of them, and closes with one table of all bars."""

from __future__ import annotations

from tests.benchmarks import bars, sweeps_credentials, sweeps_overview

PARTS = {"credentials": sweeps_credentials.bars, "overview": sweeps_overview.bars}


def run() -> bool:
    found: list[bars.Bar] = []
    for name, measure in PARTS.items():
        print(f"== {name}")
        found += measure()
    print("== all bars")
    return bars.tell(found)
