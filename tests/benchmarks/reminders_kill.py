"""Kills the workers that send reminders a hundred times; the provider must have each reminder once.

Not a measure of speed. Fought twice: with bells from one place, and with two beats while Redis is wiped in the middle.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from tests.benchmarks.bars import Bar, tell
from tests.support import reminder_load
from tests.support.reminder_siege import ReminderSiege

REMINDERS, WORKERS = int(os.environ.get("BENCH_REMINDERS", "1500")), 4
KILLS = int(os.environ.get("BENCH_KILLS", "100"))
PER_SECOND = 30.0  # the sender's rate: slow enough that every kill strikes a worker at work


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    return [
        fought("kill -9 of workers", beats=0, wipe_redis=False),
        fought("the same with two beats and Redis wiped", beats=2, wipe_redis=True),
    ]


def fought(name: str, *, beats: int, wipe_redis: bool) -> Bar:
    seed = int(os.environ.get("BENCH_SEED") or secrets.randbelow(10**6))
    reminder_load.clear()
    numbers = reminder_load.due_texts(REMINDERS)
    with tempfile.TemporaryDirectory(prefix="carerelay-siege-") as folder:
        siege = ReminderSiege(Path(folder), seed, workers=WORKERS, per_second=PER_SECOND, beats=beats)
        try:
            siege.start()
            siege.fight(KILLS, pause_s=(0.1, 0.8), wipe_redis=wipe_redis)
            settled = siege.settle()
            found = siege.verdict(numbers)
        finally:
            siege.close()
    print(
        f"seed {seed}: {REMINDERS:,} reminders, {WORKERS} workers, {beats} beats, {siege.kills} kills: {found.sent:,} "
        f"sent, {found.doubled} doubled, {found.missing} missing{'' if settled else '; NOT all ended in time'}"
    )
    measured = f"{found.doubled} / {found.missing}"
    return Bar(f"{name}: doubles / missing", "0 / 0", measured, settled and found.good and found.sent == REMINDERS)
