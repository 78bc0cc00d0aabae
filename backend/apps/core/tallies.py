"""Adds up how work ended, by quarters of an hour; without it a rate could only be told by counting rows.

No models here: the door for lab feeds, which has none, adds to the tallies too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import Error

from backend.apps.core import statements

SLOT_S = 900  # a day of eighty kinds of outcome is 7,680 rows at most; older ones are folded into days
ERROR = "error:"  # begins the names that count what went wrong, by class, beside the outcome each row had

# One statement, and so a transaction of its own, that does not wait for the disk: a crash of the server loses less than
# a second of numbers that nobody's work depends on. In order of the names, so that two workers never wait in a circle.
ADD = f"""
    WITH quickly AS (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO core_worktally AS tally (task, outcome, starts_at, count, seconds, waited_s)
    SELECT %s::text, of.outcome, date_bin('{SLOT_S} s', now(), 'epoch'), of.count, of.share * %s::float8,
           of.share * %s::float8
    FROM quickly, unnest(%s::text[], %s::int8[], %s::float8[]) AS of (outcome, count, share) ORDER BY of.outcome
    ON CONFLICT (starts_at, task, outcome) DO UPDATE SET count = tally.count + excluded.count,
        seconds = tally.seconds + excluded.seconds, waited_s = tally.waited_s + excluded.waited_s"""  # noqa: S608  # ours

HOURS = 24
TOTALS = """
    SELECT task, outcome, sum(count)::int8, sum(seconds)::float8, sum(waited_s)::float8
    FROM core_worktally GROUP BY 1, 2 ORDER BY 1, 2"""
BY_HOUR = """
    SELECT task, outcome, floor(date_part('epoch', %s::timestamptz - starts_at) / 3600)::int AS ago, sum(count)::int8
    FROM core_worktally WHERE starts_at > %s AND starts_at <= %s AND NOT starts_with(outcome, %s) GROUP BY 1, 2, 3"""

log = logging.getLogger(__name__)


def note(
    task: str, outcomes: Mapping[str, int], seconds: float, waited_s: float, errors: Mapping[str, int] | None = None
) -> None:
    """Add what a batch did to the tallies; nothing when it did nothing. Called outside any transaction.

    outcomes: rows by how they ended; seconds and waited_s, which are sums over the batch, are shared out among them by
    number. errors: what went wrong, by class ("transient", "bug"). That it cannot be noted costs the batch nothing.
    """
    added = addition(task, outcomes, seconds, waited_s, errors)
    if added is None:
        return
    try:
        with statements.cursor() as cursor:
            cursor.execute(ADD, added)
    except Error as error:
        log.warning("the tally of %s was not noted: %s", task, type(error).__name__)


def addition(
    task: str, outcomes: Mapping[str, int], seconds: float, waited_s: float, errors: Mapping[str, int] | None = None
) -> list[Any] | None:
    """Return the values of `ADD` for whoever has a connection of its own; None when there is nothing to add."""
    counts = {name: count for name, count in outcomes.items() if count > 0}
    failed = {f"{ERROR}{name}": count for name, count in (errors or {}).items() if count > 0}
    if not counts and not failed:
        return None
    total = sum(counts.values())
    shares = [count / total for count in counts.values()] + [0.0] * len(failed)
    return [task, seconds, waited_s, [*counts, *failed], [*counts.values(), *failed.values()], shares]


class Total(NamedTuple):
    """What one kind of work came to since the clinic began; `outcome` is that of a `WorkTally`."""

    task: str
    outcome: str
    rows: int
    seconds: float
    waited_s: float


def totals() -> list[Total]:
    """Return the sums of all tallies; they only grow."""
    with statements.cursor() as cursor:
        cursor.execute(TOTALS)
        return [Total(*row) for row in cursor.fetchall()]


def by_hour(now: datetime) -> dict[tuple[str, str], list[int]]:
    """Return by task and outcome how many rows ended so in each of the last 24 hours, the oldest first."""
    found: dict[tuple[str, str], list[int]] = {}
    with statements.cursor() as cursor:
        cursor.execute(BY_HOUR, [now, now - timedelta(hours=HOURS), now, ERROR])
        for task, outcome, ago, count in cursor.fetchall():
            found.setdefault((task, outcome), [0] * HOURS)[HOURS - 1 - min(ago, HOURS - 1)] += count
    return found
