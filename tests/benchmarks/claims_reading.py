"""Measures reading and balancing an 835 of ten thousand claims against a reader of somebody else's in Rust.

Time is the CPU's: both do nothing but compute, and what runs beside them must not decide.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import oxedi

from integrations.x12 import remittance_835, segments
from integrations.x12.balance import Sheet, watched
from tests.benchmarks.bars import Bar, tell
from tests.support.remittances import random_835

CLAIMS, ROUNDS = int(os.environ.get("BENCH_CLAIMS", "10000")), 11
BAR = 3.0


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    content = random_835(CLAIMS, seed=5)
    assert balanced(content) == kept(content) == theirs(content) == CLAIMS
    took = [(timed(balanced, content), timed(kept, content), timed(theirs, content)) for _ in range(ROUNDS)]
    for mine, all_kept, its in took:
        rates = "   ".join(
            f"{CLAIMS / one:8,.0f} claims/s {name}"
            for one, name in ((mine, "ours"), (all_kept, "ours, all kept"), (its, "oxedi"))
        )
        print(f"{rates}   {mine / its:5.2f} times its time")
    mine, all_kept, its = (statistics.median(column) for column in zip(*took, strict=True))
    print(f"kept in memory as posting does: {all_kept / its:.2f} times its time")
    name = f"an 835 of {CLAIMS:,} claims read and balanced"
    return [Bar(name, f"{BAR:.0f} times oxedi's time", f"{mine / its:.2f} times", mine <= BAR * its)]


def balanced(content: bytes) -> int:
    """Read every claim with its lines and hold all equations; return how many claims there are."""
    found = 0
    for transaction in segments.read(content):
        read, sheet = remittance_835.read(transaction), Sheet()
        found += sum(1 for _ in watched(read.claims, sheet))
        assert sheet.close(read.payment, read.provider_adjustments) == []
    return found


def kept(content: bytes) -> int:
    """Do the same and hold all claims in memory."""
    claims = []
    for transaction in segments.read(content):
        read, sheet = remittance_835.read(transaction), Sheet()
        claims += list(watched(read.claims, sheet))
        assert sheet.close(read.payment, read.provider_adjustments) == []
    return len(claims)


def theirs(content: bytes) -> int:
    result = oxedi.parse(content)
    assert not result.diagnostics
    return len(result.tables["claims"])


def timed(read: Callable[[bytes], Any], content: bytes) -> float:
    gc.collect()
    began = time.process_time()
    read(content)
    return time.process_time() - began
