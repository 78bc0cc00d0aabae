"""Counts what waits and what is stuck, for all kinds of work at once; else nobody could see a queue that grows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from backend.apps.core import statements
from backend.apps.core.work import GIVEN_UP, WorkItem, work_models

MOST = 50_000  # rows of a queue that are counted; beyond that it is "that many at least"

# Each number is read from a partial index of its own (`work.work_indexes`) and none looks at rows that are done.
COUNTED = "(SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {where} LIMIT {most}) AS found)"
OLDEST = "(SELECT due_at FROM {table} WHERE {where} ORDER BY due_at LIMIT 1)"
OF_LANE = "(SELECT min(oldest) FROM unnest(ARRAY[{lanes}]) AS mine (lane), LATERAL {oldest} AS of_lane (oldest))"
DUE = "work_state = 'waiting' AND due_at <= now()"
STATES = {
    "waiting": DUE,
    "running": "work_state = 'running'",
    "lost": "work_state = 'running' AND leased_until < now()",
    "held": "work_state = 'held'",
    "failed": f"work_state = 'failed' AND NOT starts_with(last_error, '{GIVEN_UP}')",
}

ID_OR_NUMBER = r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9]+"
CUT = "…"
UNTOLD = re.compile(rf"({ID_OR_NUMBER})(?![^()]*\)$)")  # but not within the code it ends with: "refused (twilio:21211)"


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of one kind of work there is; no count goes above `MOST`.

    waiting: due by now, `oldest_due_at` the first of them. running: leased; lost: leased by a worker that is overdue.
    held, failed: a person has to look, and has not given them up.
    """

    task: str
    waiting: int = 0
    oldest_due_at: datetime | None = None
    running: int = 0
    lost: int = 0
    held: int = 0
    failed: int = 0

    def oldest_s(self, now: datetime) -> float:
        """Return for how long the oldest row has been due, in seconds."""
        return max((now - self.oldest_due_at).total_seconds(), 0.0) if self.oldest_due_at else 0.0


def depths() -> list[Depth]:
    """Return the depth of each kind of work in one statement; its cost grows with what waits, not with what is kept."""
    models = work_models()
    with statements.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(_asked(place, model) for place, model in enumerate(models)))
        found = {place: numbers for place, *numbers in cursor.fetchall()}
    return [Depth(model.task_name, *found[place]) for place, model in enumerate(models)]


def _asked(place: int, model: type[WorkItem]) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    counts = {name: COUNTED.format(table=table, where=where, most=MOST) for name, where in STATES.items()}
    oldest = OLDEST.format(table=table, where=f"{DUE} AND lane = mine.lane" if model.lanes else DUE)
    if model.lanes:
        oldest = OF_LANE.format(lanes=", ".join(map(str, model.lanes)), oldest=oldest)
    first, *rest = counts.values()
    return f"SELECT {place}, {', '.join((first, oldest, *rest))}"


def cause_of(last_error: str) -> str:
    """Return what many rows failed by, as one: ids and numbers are cut out, a provider's code at the end stays."""
    return UNTOLD.sub(CUT, last_error)


def pattern_of(cause: str) -> str:
    """Return a regular expression of PostgreSQL that finds the rows whose `last_error` is of this cause."""
    return f"^{f'({ID_OR_NUMBER}|{CUT})'.join(_literally(part) for part in cause.split(CUT))}$"


def _literally(text: str) -> str:
    return re.sub(r"([^\w\s])", r"\\\1", text)
