"""Goes on with the seals after the database was restored into another cluster, whose transactions count anew.

There a new row may have a number that lies in a range sealed long ago. A person looks, and says that what no seal has
is as it should be: it goes under one seal that tells of it, and from then on numbers are counted on from the old ones.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from backend.apps.core import alerts, audit, audit_sealing, audit_verifying
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditSeal

OFFSET = "CREATE OR REPLACE FUNCTION core_auditlog_offset() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT {:d}::bigint'"


@transaction.atomic
def adopt(*, by: Any = None) -> AuditSeal:
    """Put every row that no seal has under one seal of its own, and count transactions on from there.

    Nobody writes to the log meanwhile. Safe to run twice: the second time nothing was moved.

    Raises:
        DomainError: the database was not moved, or sealed rows are not as they were.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [audit_sealing.LOCK])
        cursor.execute("LOCK TABLE core_auditlog IN SHARE ROW EXCLUSIVE MODE")
        last, (cluster, bound) = audit_sealing.newest(), audit_sealing.where_we_are()
        if last is None or (cluster == last.cluster and bound >= last.to_xid):
            raise DomainError("This is the cluster the last seal was made in; there is nothing to adopt.")
        leaves = _unsealed(last)
        cursor.execute("SELECT coalesce(max(xid) + 1, 0), core_auditlog_offset() FROM core_auditlog")
        past, offset = cursor.fetchone()
        until = max(past, last.to_xid)
        cursor.execute(OFFSET.format(offset + max(until - bound, 0)))  # nosemgrep: sql-of-pieces  # a number of ours
    made = audit_sealing.add(last, leaves, span=(last.to_xid, until), cluster=cluster, kind=AuditSeal.Kind.ADOPTED)
    audit.record(None, "adopt", "auditlog", detail={"rows": made.rows, "seal": made.n}, user=by)
    alerts.clear(audit_sealing.RESTORED)
    return made


def _unsealed(last: AuditSeal) -> bytes:
    late = list[bytes]()
    look = audit_verifying.at_seals(1, late=late.append)
    if not look.result.good:
        raise DomainError(f"Nothing is adopted while sealed rows are not as they were: {look.result.findings[0]}")
    tail, others = audit_verifying.found(last.to_xid, audit_verifying.LAST_XID)
    if others:
        raise DomainError(f"Row {others[0]} was altered, and nobody sealed it.")
    return b"".join(late) + tail
