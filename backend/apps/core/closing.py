"""Reads one part's rows in one snapshot and notes what is wrong; else each part would ask and tell in its own way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from backend.apps.core.ledger import EXAMPLES, Fault

RANGE = """{at} >= coalesce(%(since)s::timestamptz, '-infinity')
       AND {at} < coalesce(%(until)s::timestamptz, 'infinity')"""


class Check(NamedTuple):
    """What must hold of no row `m` of a table, as SQL of our own names only. at: by which moment a range is cut."""

    sentence: str
    table: str
    where: str
    at: str = "m.created_at"


@contextmanager
def snapshot() -> Iterator[Any]:
    """Yield a cursor that sees one state of the database; inside a transaction of the caller's it is that one's."""
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield cursor


def state_of(states: Mapping[str, str]) -> str:
    """Return SQL for the name of the first of these conditions that holds, "" where none does."""
    cases = " ".join(f"WHEN {where} THEN '{name}'" for name, where in states.items())
    return f"CASE {cases} ELSE '' END"


def in_none(states: Mapping[str, str]) -> str:
    """Return the condition that a row is in none of the states that count, or in more than one."""
    return " + ".join(f"({where})::int" for where in states.values()) + " <> 1"


class Audit:
    """One pass over the tables of a part for a range; faults are added up here."""

    def __init__(self, cursor: Any, since: datetime | None, until: datetime | None, settle: timedelta) -> None:
        self.cursor = cursor
        self.values = {"since": since, "until": until, "settle_s": settle.total_seconds()}
        self.faults: list[Fault] = []

    def check(self, name: str, check: Check) -> None:
        sql = f"""SELECT count(*), (array_agg(m.id::text ORDER BY m.id))[:{EXAMPLES}] FROM {check.table} m
                  WHERE {RANGE.format(at=check.at)} AND ({check.where})"""  # noqa: S608  # our own names only
        count, examples = self.rows(sql)[0]
        self.note(name, check.sentence, count, tuple(examples or ()))

    def note(self, name: str, sentence: str, count: int, examples: tuple[str, ...]) -> None:
        if count:
            self.faults.append(Fault(name, sentence, count, examples[:EXAMPLES]))

    def counted(self, table: str, by: str, states: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Return by what `by` (SQL) gives how many rows of the range are in each state."""
        sql = f"""SELECT {by}, {state_of(states)}, count(*) FROM {table} m
                  WHERE {RANGE.format(at="m.created_at")} GROUP BY 1, 2 ORDER BY 1"""  # noqa: S608  # our own names only
        found: dict[str, Counter[str]] = {}
        for name, state, count in self.rows(sql):
            found.setdefault(name, Counter())[state] += count
        return found

    def rows(self, sql: str, **more: Any) -> list[Any]:
        self.cursor.execute(sql, {**self.values, **more})
        found: list[Any] = self.cursor.fetchall()
        return found
