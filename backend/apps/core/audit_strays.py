"""Moves rows of the audit log that lie outside all months into months of their own, byte for byte as they were sealed.

A row whose month nobody had made lies in the part for what fits nowhere, and no month can be made around it. The digest
of a row is taken of its columns and not of where it lies, so a row that was moved is still proved by its seal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from backend.apps.core import audit, audit_files
from backend.apps.core.audit_partitions import WAIT, tried

STRAYS = "core_auditlog_default"
MONTHS = f"""SELECT DISTINCT date_trunc('month', "timestamp" AT TIME ZONE 'UTC') FROM {STRAYS} ORDER BY 1"""  # noqa: S608  # ours
MAKE = """
CREATE TABLE {part} (LIKE core_auditlog INCLUDING ALL, CHECK ("timestamp" >= '{first}' AND "timestamp" < '{past}'));
CREATE TRIGGER {part}_no_truncate BEFORE TRUNCATE ON {part} FOR EACH STATEMENT EXECUTE FUNCTION core_auditlog_refuse();
INSERT INTO {part} SELECT * FROM {strays} WHERE "timestamp" >= '{first}' AND "timestamp" < '{past}';
"""
ATTACH = """
ALTER TABLE core_auditlog ATTACH PARTITION {part} FOR VALUES FROM ('{first}') TO ('{past}');
ALTER TABLE {part} DROP CONSTRAINT {part}_timestamp_check;
"""  # the check spares a look at all rows
# Its triggers refuse to delete, also to us; the parts do not own it and cannot switch them off.
EMPTY = f"""
ALTER TABLE {STRAYS} DISABLE TRIGGER core_auditlog_no_rewrite;
DELETE FROM {STRAYS};
ALTER TABLE {STRAYS} ENABLE TRIGGER core_auditlog_no_rewrite;
"""  # noqa: S608  # ours


def move(*, by: Any = None) -> int:
    """Move all such rows, and return how many. The log waits meanwhile; safe to run twice.

    Raises:
        DomainError: the log is in use without a pause.
    """
    return tried(lambda: _move(by))


@transaction.atomic
def _move(by: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(WAIT)
        cursor.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [audit_files.LOCK])
        cursor.execute("LOCK TABLE core_auditlog IN SHARE ROW EXCLUSIVE MODE")  # before its parts, as all take it
        cursor.execute(f"LOCK TABLE {STRAYS} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"SELECT count(*) FROM {STRAYS}")  # noqa: S608  # ours
        many: int = cursor.fetchone()[0]
        cursor.execute(MONTHS)
        months = [_span(first) for (first,) in cursor.fetchall()]
        for month in months:
            cursor.execute(MAKE.format(**month, strays=STRAYS))  # nosemgrep: sql-of-pieces  # months, as we write them
        if months:
            cursor.execute(EMPTY)
        for month in months:
            cursor.execute(ATTACH.format(**month))  # nosemgrep: sql-of-pieces  # months, as we write them
    if many:
        labels = [month["part"].removeprefix("core_auditlog_") for month in months]
        audit.record(None, "sort", "auditlog", detail={"rows": many, "months": labels}, user=by)
    return many


def _span(first: datetime) -> dict[str, str]:
    """Return the names of a month's part and of its first moment and that of the next, as SQL takes them."""
    begin = first.replace(tzinfo=UTC)
    past = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return {"part": f"core_auditlog_{begin:%Y_%m}", "first": begin.isoformat(), "past": past.isoformat()}
