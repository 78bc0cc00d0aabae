"""A whole day at the clinic: every scene, then all pipelines at once against partners here, then one table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from workers.cli import (
    console,
    demo,
    demo_bulk,
    demo_counts,
    demo_partners,
    demo_rows,
    demo_silence,
    demo_table,
    demo_trouble,
    stack,
)  # fmt: skip
from workers.cli.demo_bulk import Bulk, Size
from workers.cli.demo_partners import Partners
from workers.cli.demo_table import Row

REST_S = 240.0  # and twice as long as the messages need to leave
HELPED = (
    ("helped", f"what the beat rings is rung every {demo_trouble.RING_EVERY_S:.0f} s from here;"),
    ("", "what a killed worker held is free at once, not after six minutes;"),
    ("", "texts on which no report came are asked about without a quarter of an hour"),
)


def play(*, seed: int, chaos: bool, size: Size) -> dict[str, Any]:
    """Start a stack and its partners, live through a day, and return its table as a document; it is printed, too."""
    partners, began = Partners(seed), time.monotonic()
    console.say(f"{'seed':16}{seed}{', with faults' if chaos else ''}")
    with stack.own_stack(partners.environment) as running, demo_partners.opened(partners, running.web_url):
        console.say(f"{'stack':16}{running.web_url}  ready after {time.monotonic() - began:.0f} s")
        with demo_counts.connected(running) as database:
            since = demo_counts.begun(database)
        good = demo.played(running, list(demo.SCENES))
        bulk = Bulk(running, partners, size, chaos, since)
        rows = worked(bulk)
    good = good and bulk.good
    return told(rows, partners, chaos=chaos, scenes_good=good, seconds=round(time.monotonic() - began))


def worked(bulk: Bulk) -> list[Row]:
    """Play the bulk, wait until all of it is at rest, and return the table of the whole day."""
    partners, limit_s = bulk.partners, REST_S + 2 * bulk.size.sending_s
    with demo_counts.connected(bulk.running) as database:
        if bulk.chaos:
            partners.begin_trouble(bulk.size.texts, bulk.size.mails)
        ask(bulk)
        for what, how in HELPED:
            console.say(f"{what:16}{how}")

        def reported() -> bool:
            return partners.is_all_reported() and demo_silence.heard_of_all(bulk.running, database, partners.silent)

        if not demo_trouble.rest(bulk.running, database, bulk.began, reported, limit_s):
            console.say(f"{'in line':16}still, after {limit_s:.0f} s   <- NOT as it should be")
            bulk.good = False
        partners.end_trouble()
        return demo_rows.rows(database, bulk.running, partners, bulk.asked, bulk.began)


def ask(bulk: Bulk) -> None:
    """Play the bulk; where it breaks off, say so: the table shows what became of what had been asked for."""
    try:
        demo_bulk.play(bulk)
    except Exception as error:  # noqa: BLE001 - the exit code tells
        demo.broken_off("bulk", error)
        bulk.good = False


def told(rows: Sequence[Row], partners: Partners, *, chaos: bool, scenes_good: bool, seconds: int) -> dict[str, Any]:
    """Print the table and what went wrong on purpose, and return all of it as a document."""
    faults = {name: dict(trouble.counts) for name, trouble in partners.troubles.items()}
    reports = {**partners.reported, "untaken": partners.untaken, "withheld": len(partners.silent)}
    demo_table.show(rows)
    console.say(f"{'reports':16}{listed({word: count for word, count in reports.items() if count})}")
    for name, trouble in partners.troubles.items():
        console.say(f"{'faults':16}{name}  {listed(trouble.counts)}")
        if trouble.left_out:
            console.say(f"{'faults':16}{name}  too few messages for: {', '.join(sorted(trouble.left_out))}")
    for name, kinds in partners.missed.items():
        console.say(f"{'faults':16}{name}  did not come: {', '.join(kinds)}   <- NOT as it should be")
    return demo_table.document(
        rows, seed=partners.seed, chaos=chaos, faults=faults, faults_missed=partners.missed, reports=reports,
        seconds=seconds, scenes_good=scenes_good,
        otherwise_good=scenes_good and not partners.untaken and not partners.missed,
    )  # fmt: skip


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "none"
