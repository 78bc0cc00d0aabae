"""One state of the database for all who write an export; without it two of its files could contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from psycopg import sql

from backend.apps.core.work import note_all
from backend.apps.interop.models import ExportJob

NAME = "carerelay export"  # as PostgreSQL lists the readers; they write nothing that others would have to wait for
STATE = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
TUNED = (  # rows are read to the end, so a plan that is quick with the first ones only is no help
    "SET cursor_tuple_fraction = 1",
    "SET jit = off",
    "SET idle_in_transaction_session_timeout = '10min'",
)
# What commits after we look began after the earliest of these moments; half a minute for clocks that differ, since rows
# are stamped by whoever changes them, and some before their transaction begins: what comes twice costs nothing, what is
# missed is lost. A prepared transaction is listed with the moment of its preparation.
HORIZON = """
    SELECT least(
        clock_timestamp(),
        (SELECT min(xact_start) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> %s),
        (SELECT min(prepared) - interval '1 hour' FROM pg_prepared_xacts WHERE database = current_database())
    ) - interval '30 seconds'"""


Reader = psycopg.Connection[tuple[Any, ...]]


class LeaseLost(Exception):
    """Another worker has the row by now; nothing of ours may be written down."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A transaction of our own that sees the state of one job and shows it to others under `snapshot`.

    snapshot: the id under which PostgreSQL gives it out, a blank, and the state as `pg_current_snapshot` tells it: an
    id may come again after a restart, for another state. state: which one of the job's it is, `snapshots_taken`.
    """

    job: UUID
    connection: Reader
    snapshot: str
    state: int

    def leave(self) -> None:
        """End it; others go on seeing the state as long as one of them holds it."""
        _forget(self.job, [self.snapshot])
        self.connection.close()

    def is_held_by_others(self) -> bool:
        told = ExportJob.all_objects.values_list("snapshots", flat=True).get(pk=self.job)
        others = [snapshot for snapshot in told if snapshot != self.snapshot]
        if not others:
            return False
        reader = _connected()
        try:
            return _sees_one_of(reader, self.job, others)
        finally:
            reader.close()


def take(job: ExportJob) -> tuple[Reading, datetime]:
    """Take the state as it is now; return it and the moment by which all that was changed is in it.

    The moment is found before the state: what is open by then is counted, and what begins later is younger.
    """
    reader = _connected()
    horizon: datetime = reader.execute(HORIZON, [NAME]).fetchone()[0]  # type: ignore[index]  # one row, always
    reader.execute(STATE)
    return Reading(job.pk, reader, _exported(reader), job.snapshots_taken + 1), horizon


def join(job: ExportJob) -> Reading | None:
    """See the state that others of this job hold, and hold it too; None when nobody does any more."""
    told, state = ExportJob.all_objects.values_list("snapshots", "snapshots_taken").get(pk=job.pk)
    if not told:
        return None
    reader = _connected()
    if _sees_one_of(reader, job.pk, told):
        reading = Reading(job.pk, reader, _exported(reader), state)
        if _show(reading):
            return reading
    reader.close()
    return None


def note(job: ExportJob, **fields: Any) -> None:
    """Save fields of a leased job.

    Raises:
        LeaseLost: another worker has it.
    """
    if not note_all([(job, fields)]):
        raise LeaseLost
    for name, value in fields.items():
        setattr(job, name, value)


def _connected() -> Reader:
    given = connection.get_connection_params()
    kept = {name: value for name, value in given.items() if name not in {"context", "cursor_factory"}}
    reader = psycopg.connect(**{**kept, "application_name": NAME}, autocommit=True)
    for setting in TUNED:
        reader.execute(setting)
    return reader


def _sees_one_of(reader: Reader, job: UUID, told: Sequence[str]) -> bool:
    """See the state by the youngest snapshot whose holder lives; what those who were killed left is forgotten."""
    dead = list[str]()
    try:
        for snapshot in reversed(told):
            if _sees(reader, snapshot):
                return True
            dead.append(snapshot)
        return False
    finally:
        if dead:
            _forget(job, dead)


def _sees(reader: Reader, told: str) -> bool:
    snapshot, _, state = told.partition(" ")
    reader.execute(STATE)
    try:
        reader.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        same = _state(reader) == state
    except psycopg.Error:
        same = False
    if not same:
        reader.execute("ROLLBACK")
    return same


def _exported(reader: Reader) -> str:
    snapshot = reader.execute("SELECT pg_export_snapshot()").fetchone()[0]  # type: ignore[index]  # one row, always
    return f"{snapshot} {_state(reader)}"


def _state(reader: Reader) -> str:
    return str(reader.execute("SELECT pg_current_snapshot()::text").fetchone()[0])  # type: ignore[index]  # one row, always


def _forget(job: UUID, told: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE interop_exportjob SET snapshots = snapshots - %s::text[] WHERE id = %s", [told, job])


def _show(reading: Reading) -> bool:
    """Let others see the state by ours; False when the job has gone on to another one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE interop_exportjob SET snapshots = snapshots || to_jsonb(%s::text)"
            " WHERE id = %s AND snapshots_taken = %s",
            [reading.snapshot, reading.job, reading.state],
        )
        return bool(cursor.rowcount)
