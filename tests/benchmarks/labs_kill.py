"""Kills all that the lab feed stands on for minutes, while sixteen laboratories send and resend, and judges the rest.

Not a measure of speed: the bar is that nothing acknowledged is missing, nothing is filed twice, and the books agree.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.lab_load import SENDERS, Load
from tests.support.siege import Siege, verdict

MOST_FAULTS = 20  # printed


def run() -> bool:
    """Fight for BENCH_MINUTES (2) with the seed BENCH_SEED (any)."""
    minutes = float(os.environ.get("BENCH_MINUTES") or 2)
    seed = int(os.environ.get("BENCH_SEED") or secrets.randbelow(10**6))
    print(f"seed {seed}: {SENDERS} laboratories for {minutes:g} minutes (BENCH_SEED={seed} kills in the same order)")
    with tempfile.TemporaryDirectory(prefix="carerelay-siege-") as folder:
        siege = Siege(Path(folder), seed, patients=200)
        try:
            return fight(siege, 60 * minutes)
        finally:
            siege.close()


def fight(siege: Siege, seconds: float) -> bool:
    load = Load(siege.port, siege.seed, siege.record_numbers, pause_s=0.1)
    siege.start()
    load.start()
    began = time.monotonic()
    siege.fight(seconds, (1.0, 5.0))
    fought_s = time.monotonic() - began
    settled = siege.settle(load, within_s=300)
    print(f"killed in {fought_s:.0f} s: {told(siege.kills)}")
    print(f"{len(load.acknowledged):,} messages acknowledged; resent after {told(load.troubles) or 'nothing'}")
    rest_s = time.monotonic() - began - fought_s
    print(f"{'filed to the end' if settled else 'NOT filed to the end'} {rest_s:.0f} s after the last kill")
    faults = list(verdict(siege, load))
    for fault in faults[:MOST_FAULTS]:
        print(f"WRONG {fault}")
    print(
        f"{len(faults)} of {len(load.acknowledged):,} acknowledged messages are missing, doubled or wrong in the chart"
    )
    return settled and not faults and books_agree(siege, load)


def books_agree(siege: Siege, load: Load) -> bool:
    """Return whether `manage reconcile` agrees, and counts what the laboratories were told."""
    code, books = siege.reconcile()
    (account,) = books[0]["accounts"]
    print(
        f"reconcile: in {account['taken_in']:,} = {told(account['outcomes'])}; {told(faults_of(books)) or 'no fault'}"
    )
    return code == 0 and account["taken_in"] == len(load.acknowledged)


def faults_of(books: Any) -> Counter[str]:
    return Counter({fault["check"]: fault["count"] for book in books for fault in book["faults"]})


def told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count)
