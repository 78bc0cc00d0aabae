"""Lets one worker at a time deal with a partner; without it two would upload the same file side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

KEY = "hashtextextended(%s, 0)"


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether we are the one, as a truth value. session: the database's process that keeps the lock for us."""

    ours: bool
    session: int

    def __bool__(self) -> bool:
        return self.ours

    def holds(self) -> bool:
        """Tell whether it is still so: a connection that was made anew has not the lock of the one before."""
        return self.ours and _asked("SELECT pg_backend_pid()") == self.session


@contextmanager
def alone_with(partner_id: UUID, what: str) -> Iterator[Turn]:
    """Tell whether nobody else does `what` with this partner; then nobody begins to until the body ends.

    The lock is the database session's: a worker that dies gives it back, one that hangs keeps it.
    """
    key = f"claims.{what}:{partner_id}"
    session = int(_asked(f"SELECT CASE WHEN pg_try_advisory_lock({KEY}) THEN pg_backend_pid() ELSE 0 END", key))
    turn = Turn(bool(session), session)
    try:
        yield turn
    finally:
        if turn and connection.connection is not None and not connection.needs_rollback:
            _asked(f"SELECT pg_advisory_unlock({KEY})", key)


def _asked(sql: str, *given: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return int(cursor.fetchone()[0])
