"""A whole day at the clinic: every scene, then all pipelines at once against partners here, then one table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from workers.cli import console, demo, demo_bulk, demo_counts, demo_partners, demo_table, demo_trouble, stack
from workers.cli.demo_bulk import Bulk, Size
from workers.cli.demo_partners import Partners
from workers.cli.demo_table import Row
from workers.cli.errors import Refused
from workers.cli.state import Running

REST_S = 240.0


def play(*, seed: int, chaos: bool, size: Size) -> dict[str, Any]:
    """Start a stack and its partners, live through a day, and return its table as a document; it is printed, too."""
    partners, began = Partners(seed), time.monotonic()
    console.say(f"{'seed':16}{seed}{', with faults' if chaos else ''}")
    with stack.own_stack(partners.environment) as running, demo_partners.opened(partners, running.web_url):
        console.say(f"{'stack':16}{running.web_url}  ready after {time.monotonic() - began:.0f} s")
        with demo_counts.connected(running) as database:
            since = demo_counts.begun(database)
        good = scenes(running)
        bulk = Bulk(running, partners, size, chaos, since)
        rows = worked(bulk)
    good = good and bulk.good
    return told(rows, partners, chaos=chaos, scenes_good=good, seconds=round(time.monotonic() - began))


def scenes(running: Running) -> bool:
    """Play every scene, also after one that could not go on; return whether all ended as they should."""
    good = True
    for name in demo.SCENES:
        try:
            good = demo.played(running, [name]) and good
        except Refused as refusal:
            console.say(f"{'broken off':16}{name}  {refusal}   <- NOT as it should be")
            good = False
    return good


def worked(bulk: Bulk) -> list[Row]:
    """Play the bulk, wait until all of it is at rest, and return the table of the whole day."""
    with demo_counts.connected(bulk.running) as database:
        if bulk.chaos:
            bulk.partners.begin_trouble()
        asked = demo_bulk.play(bulk)
        bulk.partners.end_trouble()
        if not demo_trouble.rest(bulk.running, database, bulk.began, bulk.partners.is_all_reported, REST_S):
            console.say(f"{'in line':16}still, after {REST_S:.0f} s   <- NOT as it should be")
            bulk.good = False
        return demo_counts.rows(database, bulk.running, bulk.partners, asked, bulk.began)


def told(rows: Sequence[Row], partners: Partners, *, chaos: bool, scenes_good: bool, seconds: int) -> dict[str, Any]:
    faults = {name: dict(trouble.counts) for name, trouble in partners.troubles.items()}
    demo_table.show(rows)
    console.say(f"{'reports':16}{', '.join(f'{count} {word}' for word, count in sorted(partners.reported.items()))}")
    for name, counts in faults.items():
        console.say(f"{'faults':16}{name}  {', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}")
    return demo_table.document(
        rows, seed=partners.seed, chaos=chaos, faults=faults, reports=dict(partners.reported), seconds=seconds,
        scenes_good=scenes_good,
    )  # fmt: skip
