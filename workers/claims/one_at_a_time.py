"""Lets one worker at a time deal with a partner; without it two would upload the same file side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connection

KEY = "hashtextextended(%s, 0)"


@contextmanager
def alone_with(partner_id: UUID, what: str) -> Iterator[bool]:
    """Tell whether nobody else does `what` with this partner; then nobody begins to until the body ends.

    The lock is the database session's: a worker that dies gives it back, one that hangs keeps it.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({KEY})", [f"claims.{what}:{partner_id}"])
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours and connection.connection is not None and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock({KEY})", [f"claims.{what}:{partner_id}"])
