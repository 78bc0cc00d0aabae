"""Makes a sealed audit log, and rewrites it as somebody could who owns the database and not the key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from backend.apps.core import audit, audit_sealing
from backend.apps.core.models import AuditLog

LONGEST_S = 100  # of a test beside ours
OPEN = """SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + core_auditlog_offset() <= max(xid)
          FROM core_auditlog"""
# Checks on months: one is read anew for each row that is written.
CHECKS = """SELECT conrelid::regclass FROM pg_constraint JOIN pg_inherits ON inhrelid = conrelid
            WHERE inhparent = 'core_auditlog'::regclass AND contype = 'c'"""


def written(many: int, **more: Any) -> list[AuditLog]:
    """Write so many rows, each in a transaction of its own."""
    return [audit.record(None, "retrieve", "patient", f"{n}", detail={"n": n}, **more) for n in range(many)]


def sealed(many: int = 6, at_once: int = 2) -> list[AuditLog]:
    """Write rows and seal them, two to a seal."""
    rows = written(many)
    settled()
    while audit_sealing.seal(at_once=at_once):
        pass
    return rows


def settled() -> None:
    """Wait until all that was written can be sealed: tests beside ours have transactions in this cluster too."""
    _until(lambda: run(OPEN) != [(True,)])


def until_oldest(xid: str) -> None:
    """Wait until no transaction of a test beside ours is older than this one."""
    _until(lambda: run("SELECT pg_snapshot_xmin(pg_current_snapshot())::text") == [(xid,)])


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < until, "a transaction stays open in this cluster"
        time.sleep(0.05)


def run(sql: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def unwatched() -> Iterator[None]:
    """Switch all triggers off, as a superuser may."""
    run("SET session_replication_role = replica")
    try:
        yield
    finally:
        run("SET session_replication_role = origin")


@contextmanager
def other_connection() -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection of somebody else to the same database."""
    told = connection.get_connection_params()
    names = {"dbname", "host", "port", "user", "password"}
    with psycopg.connect(**{name: told[name] for name in names if name in told}) as other:
        yield other


def offset_of(many: int) -> None:
    """Let transactions count anew, so much lower or higher, as in the cluster of a restored copy."""
    run(
        "CREATE OR REPLACE FUNCTION core_auditlog_offset() RETURNS bigint LANGUAGE sql STABLE "
        f"AS 'SELECT {many:d}::bigint'"
    )
