"""Asks what every request asks as prepared statements: PostgreSQL plans a join of six tables longer than it runs it."""

from __future__ import annotations

from datetime import datetime

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg.pq import Format

MOST = 40  # plans that one connection keeps; each may be some hundred kB of the server's memory


def cursor(*, binary: bool = False) -> CursorWrapper:
    """Return a cursor of Django's connection that sends values beside the statement instead of in it.

    A statement that comes again is prepared by the connection (DATABASES: prepare_threshold). Its text should not
    differ from request to request: what differs is a value. PostgreSQL must be able to tell the type of each value
    from where it stands. binary: answers come as bytes, not as text, which long ones are worth.
    """
    wrapped: CursorWrapper = connection.cursor()
    connection.connection.prepared_max = MOST
    wrapped.cursor = psycopg.Cursor(connection.connection)
    wrapped.cursor.format = Format.BINARY if binary else Format.TEXT
    return wrapped


def database_now() -> datetime:
    """Return the moment by the clock of the database, which goes on within a transaction."""
    with cursor() as found:
        found.execute("SELECT statement_timestamp()")
        now: datetime = found.fetchone()[0]
    return now
