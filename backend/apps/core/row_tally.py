"""Compares the rows of a table with the tally of what was ever written; else a row that vanished takes its proof along.

A trigger adds one line to the tally for each statement that inserts, in the same transaction, so nobody waits for
anybody. Which hour a row counts in is told by its key (UUIDv7, RFC 9562 section 5.7), which never changes; a key of
another version counts in the first hour of all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections, models, router

from backend.apps.core.ledger import EXAMPLES, Account, Fault

HOUR = timedelta(hours=1)
LAST_RANDOM = 2**80 - 1  # of a key, below its 48 bits of milliseconds

# Names of the tables and what a person calls their rows. The triggers are in `interop` migration 0003.
TALLIED = {
    "appointments_appointmentreminder": "reminders",
    "messaging_patientmessage": "other messages",
    "messaging_providerevent": "provider reports",
    "laboratory_labresult": "results",
    "insurance_insuranceclaim": "claims",
    "insurance_submission": "submissions",
    "insurance_interchange": "files to partners",
    "insurance_inboundfile": "files from partners",
    "insurance_remittance": "payments",
    "insurance_remittanceclaim": "claims of payments",
    "interop_exportjob": "exports",
    "credentials_credentialalert": "credential alerts",
    "credentials_credentialnotice": "credential notices",
}
HOUR_OF = (
    "date_trunc('hour', coalesce(CASE uuid_extract_version({key}) WHEN 7 THEN uuid_extract_timestamp({key}) END, "
    "'epoch'), 'UTC')"  # of keys of other versions, 1970
)
MARK = "bit_xor(uuid_hash_extended({key}, 0))"
GONE = "Rows of {rows} that were written in these hours are gone."
NOWHERE = "Rows of {rows} are there that were never counted in."
EXCHANGED = "As many {rows} as were counted in, but not the same ones."

COMPARED = """
    WITH told AS (SELECT hour, sum(count)::bigint AS rows, bit_xor(marks) AS marks FROM core_rowtally
                  WHERE table_name = %(table)s AND hour >= coalesce(%(begin)s::timestamptz, '-infinity')
                    AND hour < coalesce(%(end)s::timestamptz, 'infinity') GROUP BY 1),
         kept AS (SELECT {hour} AS hour, count(*) AS rows, {mark} AS marks FROM {table} m
                  WHERE m.id BETWEEN %(first)s AND %(last)s OR (%(begin)s::timestamptz IS NULL AND m.id > %(last)s
                        AND uuid_extract_version(m.id) IS DISTINCT FROM 7) GROUP BY 1)
    SELECT hour, coalesce(told.rows, 0), coalesce(kept.rows, 0),
           coalesce(told.marks, 0) = coalesce(kept.marks, 0)
    FROM told FULL JOIN kept USING (hour)
    WHERE hour >= coalesce(%(begin)s::timestamptz, '-infinity') AND hour < coalesce(%(end)s::timestamptz, 'infinity')
    ORDER BY hour"""


WRITTEN = """
    SELECT hour, sum(sum(count)) OVER (ORDER BY hour)::bigint FROM core_rowtally
    WHERE table_name = ANY(%(tables)s) AND hour >= coalesce(%(begin)s::timestamptz, '-infinity')
      AND hour < coalesce(%(end)s::timestamptz, 'infinity') GROUP BY hour ORDER BY hour"""


def taken_out(model: type[models.Model], keys: Collection[UUID]) -> int:
    """Note that these rows are about to be removed by rule, in the transaction that removes them; return how many.

    Only rows that are still there count, so call it before the removal. Rows of a table that is not tallied need none.
    """
    table = model._meta.db_table
    if table not in TALLIED or not keys:
        return 0
    connection = connections[router.db_for_write(model)]
    sql = f"""WITH going AS (INSERT INTO core_rowtally (table_name, hour, count, marks)
                SELECT %(table)s, {HOUR_OF.format(key="id")}, -count(*), {MARK.format(key="id")}
                FROM {connection.ops.quote_name(table)} WHERE id = ANY(%(keys)s) GROUP BY 2 RETURNING count)
              SELECT coalesce(-sum(count), 0) FROM going"""  # noqa: S608  # our own names only
    with connection.cursor() as cursor:
        cursor.execute(sql, {"table": table, "keys": list(keys)})
        return int(cursor.fetchone()[0])


def compare(
    cursor: Any, tables: Sequence[str], since: datetime | None, until: datetime | None
) -> tuple[list[Account], list[Fault]]:
    """Return what was written and is kept of each table, for the whole hours that a range touches, and what is wrong.

    None: from the first, to the last. Reads in the caller's snapshot.
    """
    accounts, faults = list[Account](), list[Fault]()
    for table in tables:
        told, kept, found = _compare(cursor, table, floor(since), ceiling(until))
        faults += found
        if told or kept:
            accounts.append(Account(f"{TALLIED[table]} written", told, {"on file": kept}))
    return accounts, faults


def written(cursor: Any, tables: Sequence[str], since: datetime | None, until: datetime | None) -> int:
    """Return how many rows of these tables were written in a range, as the tally tells."""
    hours = _written(cursor, tables, since, until)
    return hours[-1][1] if hours else 0


def middle(cursor: Any, tables: Sequence[str], since: datetime | None, until: datetime | None) -> datetime | None:
    """Return the hour of a range before which half of its rows were written, and some; None where there are none."""
    hours = _written(cursor, tables, since, until)
    if not hours:
        return None
    half = next(hour for hour, so_far in hours if 2 * so_far >= hours[-1][1])
    return max(half, hours[0][0] + HOUR)


def _written(
    cursor: Any, tables: Sequence[str], since: datetime | None, until: datetime | None
) -> list[tuple[datetime, int]]:
    cursor.execute(WRITTEN, {"tables": list(tables), "begin": floor(since), "end": ceiling(until)})
    found: list[tuple[datetime, int]] = cursor.fetchall()
    return found


def floor(at: datetime | None) -> datetime | None:
    return at and at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ceiling(at: datetime | None) -> datetime | None:
    low = floor(at)
    return low if low is None or low == at else low + HOUR


def first_key(at: datetime | None) -> UUID:
    """Return the lowest key that a row made at `at` can have."""
    return UUID(int=_milliseconds(at) << 80 if at else 0)


def last_key(before: datetime | None) -> UUID:
    """Return the highest key that a row made before `before` can have."""
    return UUID(int=(_milliseconds(before) - 1 << 80) + LAST_RANDOM if before else 2**128 - 1)


def _milliseconds(at: datetime) -> int:
    return max(int(at.timestamp() * 1000), 1)


def _compare(cursor: Any, table: str, begin: datetime | None, end: datetime | None) -> tuple[int, int, list[Fault]]:
    sql = COMPARED.format(hour=HOUR_OF.format(key="m.id"), mark=MARK.format(key="m.id"), table=table)
    range_of = {"begin": begin, "end": end, "first": first_key(begin), "last": last_key(end)}
    cursor.execute(sql, {"table": table, **range_of})
    hours = cursor.fetchall()
    gone, nowhere, exchanged = list[tuple[int, str]](), list[tuple[int, str]](), list[tuple[int, str]]()
    for hour, told, kept, same in hours:
        when = f"{hour:%Y-%m-%d %H}:00 UTC"
        if told > kept:
            gone.append((told - kept, when))
        elif told < kept:
            nowhere.append((kept - told, when))
        elif not same:
            exchanged.append((1, when))
    name = TALLIED[table]
    kinds = ((GONE, "gone", gone), (NOWHERE, "from nowhere", nowhere), (EXCHANGED, "exchanged", exchanged))
    faults = [
        Fault(f"{name}: {check}", sentence.format(rows=name), sum(count for count, _ in found), _examples(found))
        for sentence, check, found in kinds if found
    ]  # fmt: skip
    return sum(told for _, told, _, _ in hours), sum(kept for _, _, kept, _ in hours), faults


def _examples(found: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(f"{count} of {when}" for count, when in found[:EXAMPLES])
