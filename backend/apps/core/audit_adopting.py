"""Goes on with the seals after the database was restored into another cluster, whose transactions count anew.

There a new row may have a number that lies in a range sealed long ago. A person looks, and says that what no seal has
is as it should be: it goes under one seal that tells of it, and from then on numbers are counted on from the old ones.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Q

from backend.apps.core import alerts, audit, audit_sealing, audit_verifying, merkle
from backend.apps.core.audit_verifying import Progress
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditSeal

WAIT = "SET LOCAL lock_timeout = '10s'"
ALTERED = "Nothing is adopted while sealed rows are not as they were"
OFFSET = "CREATE OR REPLACE FUNCTION core_auditlog_offset() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT {:d}::bigint'"


def adopt(*, by: Any = None, progress: Progress | None = None) -> AuditSeal:
    """Put every row that no seal has under one seal of its own, and count transactions on from there.

    The log is written to while all of it is verified; only for what came since is it locked, a moment. Safe to run
    twice: the second time nothing was moved.

    Raises:
        DomainError: the database was not moved, sealed rows are not as they were, or a transaction holds the log.
    """
    last, since = _moved(), audit_sealing.where_we_are()[1]  # what transactions before `since` wrote is there to see
    leaves = _unsealed(last, progress)
    with transaction.atomic():
        _lock()
        if _moved().n != last.n:
            raise DomainError("Somebody else adopted meanwhile; look at what `manage audit verify` finds.")
        made = _add(last, leaves | _come_since(since))
        audit.record(None, "adopt", "auditlog", detail={"rows": made.rows, "seal": made.n}, user=by)
        alerts.clear(audit_sealing.RESTORED)
    return made


def _moved() -> AuditSeal:
    """Return the last seal, where it was made in another cluster."""
    last, (cluster, bound) = audit_sealing.newest(), audit_sealing.where_we_are()
    if last is None or (cluster == last.cluster and bound >= last.to_xid):
        raise DomainError("This is the cluster the last seal was made in; there is nothing to adopt.")
    return last


def _unsealed(last: AuditSeal, progress: Progress | None) -> set[bytes]:
    late = set[bytes]()
    look = audit_verifying.at_seals(1, late=late.add, progress=progress)
    if not look.result.good:
        raise DomainError(f"{ALTERED}: {look.result.findings[0]}")
    return late | _leaves(last.to_xid, audit_verifying.LAST_XID)


def _lock() -> None:
    """Let nobody write to the log or seal it until the end of the transaction."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(WAIT)
            cursor.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [audit_sealing.LOCK])
            cursor.execute("LOCK TABLE core_auditlog IN SHARE ROW EXCLUSIVE MODE")
    except OperationalError as error:
        raise DomainError("A long transaction writes to the audit log; end it, or begin again later.") from error


def _come_since(since: int) -> set[bytes]:
    """Return the leaves of what was written by transactions from `since` on, and is in no seal."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint + core_auditlog_offset()")
        past = cursor.fetchone()[0]
    come = _leaves(since, past)
    keys = {leaf[: merkle.KEY] for leaf in come}
    near = Q(to_xid__gt=since, from_xid__lt=past) | Q(kind=AuditSeal.Kind.ADOPTED)
    for sealed in AuditSeal.objects.filter(near).values_list("leaves", flat=True).iterator(chunk_size=10):
        for leaf in merkle.split(sealed):
            if leaf[: merkle.KEY] in keys and leaf not in come:
                raise DomainError(f"{ALTERED}: row {UUID(bytes=leaf[: merkle.KEY])} was altered.")
            come.discard(leaf)
    return come


def _leaves(begin: int, until: int) -> set[bytes]:
    leaves, others = audit_verifying.found(begin, until)
    if others:
        raise DomainError(f"Row {others[0]} was altered, and nobody sealed it.")
    return set(merkle.split(leaves))


def _add(last: AuditSeal, leaves: set[bytes]) -> AuditSeal:
    cluster, bound = audit_sealing.where_we_are()
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(xid) + 1, 0), core_auditlog_offset() FROM core_auditlog")
        past, offset = cursor.fetchone()
        until = max(past, last.to_xid)
        cursor.execute(OFFSET.format(offset + max(until - bound, 0)))  # nosemgrep: sql-of-pieces  # a number of ours
    whole, span = b"".join(sorted(leaves)), (last.to_xid, until)
    return audit_sealing.add(last, whole, span=span, cluster=cluster, kind=AuditSeal.Kind.ADOPTED)
