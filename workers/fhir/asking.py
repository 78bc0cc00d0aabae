"""Waits for the database without letting go of the leases; else a slow query would cost the work its worker."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from psycopg import OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from workers.fhir.snapshots import Reader

PATIENCE_MS = 1000  # between two looks while the server works


def answer(reader: Reader, sql: str, look: Callable[[], object]) -> PGresult:
    """Return the rows of one statement; `look` is called before and, until they begin to come, every second.

    libpq itself reads them: the driver's way to wait costs half as much again. What `look` raises ends the connection.
    """
    look()
    try:
        _sent(reader.pgconn, sql.encode(), look)
        found = reader.pgconn.get_result()
        while reader.pgconn.get_result() is not None:
            pass
    except BaseException:
        reader.close()
        raise
    if found is None or found.status != ExecStatus.TUPLES_OK:
        raise OperationalError("lost") if found is None or reader.broken else error_from_result(found)
    return found


def first(reader: Reader, sql: str, look: Callable[[], object]) -> tuple[Any, ...] | None:
    """Return the first row of one statement, as `answer` does; None where there is none."""
    shape, found = Transformer(reader), answer(reader, sql, look)
    shape.set_pgresult(found)
    return shape.load_rows(0, 1, tuple)[0] if found.ntuples else None


def _sent(server: PGconn, sql: bytes, look: Callable[[], object]) -> None:
    """Send a statement and wait until something comes back."""
    server.send_query(sql)
    waiting = select.poll()
    waiting.register(server.socket, select.POLLOUT)
    while server.flush():
        waiting.poll(PATIENCE_MS)
    waiting.modify(server.socket, select.POLLIN)
    while not waiting.poll(PATIENCE_MS):
        look()
