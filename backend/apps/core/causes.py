"""Groups what stands still by why; without it a thousand failures of one kind would look like a thousand troubles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from django.db import connection

from backend.apps.core import statements
from backend.apps.core.depths import STATES, cause_of
from backend.apps.core.work import WorkItem, work_models

MOST = 1000  # rows of each kind and state that are looked at, those that were due last

LATEST = """
    (SELECT %s::text, %s::text, last_error, count(*)
     FROM (SELECT last_error FROM {table} WHERE {where} ORDER BY due_at DESC LIMIT {most}) AS latest
     GROUP BY last_error)"""


class Found(NamedTuple):
    """How many of the latest rows in one state (held or failed) stand still by one cause."""

    state: str
    cause: str
    rows: int


def found(tasks: Collection[str]) -> dict[str, list[Found]]:
    """Return by task why rows of these kinds of work stand still, in one statement; of each the latest rows only."""
    asked = [(model, state) for model in work_models() if model.task_name in tasks for state in ("held", "failed")]
    if not asked:
        return {}
    counts = Counter[tuple[str, str, str]]()
    with statements.cursor() as cursor:
        named = [name for model, state in asked for name in (model.task_name, state)]
        cursor.execute(" UNION ALL ".join(_latest(*one) for one in asked), named)
        for task, state, last_error, count in cursor.fetchall():
            counts[task, state, cause_of(last_error)] += count
    told: dict[str, list[Found]] = {}
    for (task, state, cause), count in counts.most_common():
        told.setdefault(task, []).append(Found(state, cause, count))
    return told


def _latest(model: type[WorkItem], state: str) -> str:
    return LATEST.format(table=connection.ops.quote_name(model._meta.db_table), where=STATES[state], most=MOST)
