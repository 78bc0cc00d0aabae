"""Measures reminders from plan to provider, kills what sends them, and closes with one table of all bars."""

from __future__ import annotations

from tests.benchmarks import bars, reminders_kill, reminders_planning, reminders_sending

PARTS = {"planning": reminders_planning.bars, "sending": reminders_sending.bars, "killing": reminders_kill.bars}


def run() -> bool:
    found: list[bars.Bar] = []
    for name, measure in PARTS.items():
        print(f"== {name}")
        found += measure()
    print("== all bars")
    return bars.tell(found)
