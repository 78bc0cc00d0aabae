"""Seals the audit log: what was written is put under a signed root, so that no row changes or goes unnoticed.

Only rows are sealed below which no transaction is open any more, and always whole transactions: sealing by key or by
time would let a row slip under a range when its transaction commits late.
"""

from __future__ import annotations

from django.db import transaction

from backend.apps.core import alerts, audit_keys, audit_waiting, merkle, statements
from backend.apps.core.models import Alert, AuditSeal

AT_ONCE = 50_000  # rows in a seal, more only where one transaction wrote more
LOCK = 4_171_926_003  # of the one who seals
RESTORED = "audit restored"
MOVED = (
    "The database was restored into another cluster, so the audit log is not sealed. "
    "Look at what `manage audit verify` finds, then run `manage audit adopt`."
)

WHERE_WE_ARE = """
SELECT CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
            THEN (SELECT system_identifier::text FROM pg_control_system()) ELSE '' END,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint + core_auditlog_offset()"""
UNTIL = """
SELECT max(xid) + 1 FROM (
    SELECT xid FROM core_auditlog WHERE xid >= %s AND xid < %s ORDER BY xid LIMIT %s) AS found"""
LEAVES = """
SELECT coalesce(string_agg(uuid_send(id) || digest, ''::bytea ORDER BY xid, id), '')
FROM core_auditlog WHERE xid >= %s AND xid < %s"""


class Restored(Exception):
    """The transactions of this cluster are not those the seals were made of."""


def seal(*, at_once: int = AT_ONCE) -> int:
    """Seal all that can be sealed by now; return how many rows were. Safe to run twice and beside itself.

    Raises:
        Restored: the database was moved, and a person has to look first; an alert says so.
    """
    sealed = 0
    try:
        while rows := _seal_next(at_once):
            sealed += rows
    except Restored:
        alerts.open_once(RESTORED, kind="audit_restored", sentence=MOVED, severity=Alert.Severity.CRITICAL)
        raise
    if rows is not None:  # who seals beside us looks, too
        alerts.clear(RESTORED)
        audit_waiting.tell()
    return sealed


@transaction.atomic
def _seal_next(at_once: int) -> int | None:
    """Return how many rows were sealed; None where another one seals, so that nothing was looked at."""
    with statements.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s::bigint)", [LOCK])
        if cursor.fetchone() == (False,):
            return None
        last = newest()
        begin = last.to_xid if last else 0
        cluster, bound = _bound(last)
        cursor.execute(UNTIL, [begin, bound, at_once])
        (until,) = cursor.fetchone()
        if until is None:
            return 0
        leaves = leaves_between(begin, until)
    return add(last, leaves, span=(begin, until), cluster=cluster).rows


def newest() -> AuditSeal | None:
    """Return the last seal, without its leaves."""
    return AuditSeal.objects.defer("leaves").order_by("-n").first()


def where_we_are() -> tuple[str, int]:
    """Return which cluster this is, and below which transaction nothing is written any more."""
    with statements.cursor() as cursor:
        cursor.execute(WHERE_WE_ARE)
        cluster, bound = cursor.fetchone()
    return cluster, bound


def _bound(last: AuditSeal | None) -> tuple[str, int]:
    cluster, bound = where_we_are()
    if last is not None and (cluster != last.cluster or bound < last.to_xid):
        raise Restored(MOVED)
    return cluster, bound


def leaves_between(begin: int, until: int) -> bytes:
    with statements.cursor(binary=True) as cursor:
        cursor.execute(LEAVES, [begin, until])
        (leaves,) = cursor.fetchone()
    return bytes(leaves)


def add(
    last: AuditSeal | None,
    leaves: bytes,
    *,
    span: tuple[int, int],
    cluster: str,
    kind: str = AuditSeal.Kind.SEALED,
) -> AuditSeal:
    """Add the seal that follows `last`, over these leaves and this range of transactions."""
    made = AuditSeal(
        n=last.n + 1 if last else 1,
        kind=str(kind),
        from_xid=span[0],
        to_xid=span[1],
        rows=len(leaves) // merkle.LEAF,
        leaves=leaves,
        root=merkle.root(leaves),
        prev=bytes(last.hash) if last else merkle.GENESIS,
        key_id=audit_keys.name(),
        cluster=cluster,
        sealed_at=statements.database_now(),
    )
    made.hash = merkle.link(made)
    made.signature = audit_keys.sign(made.hash)
    made.save(force_insert=True)
    return made
