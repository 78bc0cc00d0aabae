"""Asks the stack of a demo day what still waits, and what reconcile says; without it a day would end at any time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from workers.cli import stack
from workers.cli.errors import Refused
from workers.cli.state import Running

SOON = "interval '2 minutes'"  # what is tried again within this is waited for
PARTS = ("laboratory", "reminders", "claims", "exports", "credentials")
RECONCILE_S = 120
REPORTS = "messaging_providerevent"
ON_PATIENTS_MESSAGES = """ AND (kind = 'inbound' OR split_part(attempt_id, '.', 1) IN (
    SELECT id::text FROM appointments_appointmentreminder UNION ALL SELECT id::text FROM messaging_patientmessage))"""
WITH_COLUMNS = """
    SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = ANY(%s)
    GROUP BY 1 HAVING count(*) = %s ORDER BY 1"""

Database = psycopg.Connection[Any]


def connected(running: Running) -> Database:
    return psycopg.connect(running.env["DATABASE_URL"], autocommit=True)


def begun(database: Database) -> datetime:
    """Return the moment it is now, by the clock that dates the rows."""
    (moment,) = database.execute("SELECT clock_timestamp()").fetchone() or (None,)
    if not isinstance(moment, datetime):
        raise Refused("The database does not tell the time.")
    return moment


def tables_with(database: Database, *columns: str) -> list[str]:
    return [name for (name,) in database.execute(WITH_COLUMNS, [list(columns), len(columns)])]


def in_line(database: Database, began: datetime) -> dict[str, int]:
    """Return by table how much of what came since then waits, is worked on, or ended nobody knows how yet.

    Reports on e-mails to the staff, which are nobody's after a quarter of an hour, are not waited for.
    """
    busy = f"work_state IN ('waiting', 'running') AND due_at <= now() + {SOON}"
    unsure = "work_state = 'held' AND uncertain_since IS NOT NULL"
    wanted = [(name, busy) for name in tables_with(database, "work_state", "due_at", "created_at")]
    wanted += [(name, unsure) for name in tables_with(database, "work_state", "uncertain_since", "created_at")]
    counts = Counter[str]()
    for name, where in wanted:
        only = ON_PATIENTS_MESSAGES if name == REPORTS else ""
        sql = f'SELECT count(*) FROM "{name}" WHERE created_at >= %s AND {where}{only}'  # noqa: S608 - a name of ours
        counts[name] += (database.execute(sql, [began]).fetchone() or (0,))[0]
    return dict(+counts)


@dataclass(frozen=True)
class Verdict:
    """What reconcile says of one part."""

    sentence: str
    agree: bool


def reconciled(running: Running, began: datetime) -> dict[str, Verdict]:
    """Close the books of every part since `began`, as the command does."""
    words = ["reconcile", "--json", "--since", began.isoformat()]
    words += [word for part in PARTS for word in ("--part", part)]
    done = stack.captured(running, words, RECONCILE_S)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        reason = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
        raise Refused(f"Reconcile could not look: {reason[0]}") from None
    return {part: verdict(books) for part, books in zip(PARTS, found, strict=True)}


def verdict(books: dict[str, Any]) -> Verdict:
    came = sum(one["taken_in"] for one in books["accounts"])
    apart = sum(abs(one["unexplained"]) for one in books["accounts"])
    told = [f"{apart} rows missing or from nowhere"] if apart else []
    told += [f"{fault['check']}: {fault['count']}" for fault in books["faults"]]
    return Verdict("; ".join(told) if told else f"agrees, {came:,} rows", bool(books["agree"]))
