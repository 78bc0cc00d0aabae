"""Gives the database connection back while we wait for others; without it one slow partner would hold the pool."""

from __future__ import annotations

from django.db import close_old_connections, connection


def let_go() -> None:
    """Give the connection back unless a transaction is open; the next query takes another."""
    if not connection.in_atomic_block:
        close_old_connections()
