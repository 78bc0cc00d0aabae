"""Tells when the audit log waits to be sealed, and for whom; else one forgotten transaction would leave it unproved."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert

LATE, MUCH_TOO_LATE = timedelta(minutes=10), timedelta(hours=1)  # of the oldest row that is not sealed
WAITS = "audit unsealed"
OLDEST = """
SELECT "timestamp" FROM core_auditlog WHERE xid >= (SELECT coalesce(max(to_xid), 0) FROM core_auditseal)
ORDER BY xid LIMIT 1"""
HOLDER = """
SELECT pid, '', coalesce(datname, '') FROM pg_stat_activity
WHERE backend_xid = pg_snapshot_xmin(pg_current_snapshot())::xid
UNION ALL
SELECT 0, gid, database FROM pg_prepared_xacts WHERE transaction = pg_snapshot_xmin(pg_current_snapshot())::xid
LIMIT 1"""
SHOWN = re.compile(r"[\w.:-]{1,60}")  # of what somebody called a prepared transaction
NOT_SEALED = "The audit log is not sealed, its oldest row for {} minutes: {}"
OPEN = (
    "process {0} of PostgreSQL keeps a transaction open in {1}. End it as its owner: SELECT pg_terminate_backend({0})"
)
PREPARED = "a transaction stays prepared in {1}. End it there as its owner: ROLLBACK PREPARED '{0}', or commit it."
NAMELESS = "a transaction stays prepared in {1}; pg_prepared_xacts names it. End it there by ROLLBACK PREPARED."
NOBODY = "no transaction holds it up. Look at the beat and at the worker of `audit.seal`."


def oldest() -> datetime | None:
    """Return when the first row was written that no seal has, None where all are sealed."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST)
        found = cursor.fetchone()
    return found[0] if found else None


def minutes() -> int:
    """Return for how long rows wait to be sealed, in minutes; 0 while that is not longer than it has to be."""
    since = oldest()
    waits = timezone.now() - since if since else timedelta()
    return int(waits.total_seconds() // 60) if waits >= LATE else 0


def tell() -> None:
    """Open the alert that rows wait too long, which names what they wait for, or clear it."""
    waits = minutes()
    if not waits:
        alerts.clear(WAITS)
        return
    severity = Alert.Severity.CRITICAL if timedelta(minutes=waits) >= MUCH_TOO_LATE else Alert.Severity.WARNING
    sentence = NOT_SEALED.format(f"{waits:,}", _holder())[:300]
    alerts.open_once(WAITS, kind="audit_unsealed", sentence=sentence, severity=severity)


def _holder() -> str:
    with connection.cursor() as cursor:
        cursor.execute(HOLDER)
        pid, gid, database = cursor.fetchone() or (0, "", "")
    if pid:
        return OPEN.format(pid, database)
    if gid:
        return (PREPARED if SHOWN.fullmatch(gid) else NAMELESS).format(gid, database)
    return NOBODY
