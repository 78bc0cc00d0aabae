"""Lets an upgrade seal columns only while no part of the version before works; it would write plain text beside it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db.migrations import Migration

PARTS = ("web", "worker", "beat", "mllp")  # as they call themselves to the database
WAIT_S, LOOK_S = 20.0, 0.5  # a part that was told to end may take this long
AT_WORK = """SELECT DISTINCT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = ANY(%s) ORDER BY 1"""


def insist_alone(connection: Any, plan: Sequence[tuple[Migration, bool]], whole: Sequence[Any]) -> None:
    """Wait for parts to end, and refuse while one works, where a step of `plan` seals what is there.

    whole: the plan of an empty database; there is nothing to seal in one.

    Raises:
        CommandError: a part is at work; nothing was changed.
    """
    if len(plan) == len(whole) or not any(seals(migration) for migration, _ in plan):
        return
    until = time.monotonic() + WAIT_S
    while at_work := _at_work(connection):
        if time.monotonic() > until:
            names = ", ".join(at_work)
            raise CommandError(
                f"This upgrade seals columns, and {names} of the version before still work: they would write plain "
                "text beside it and refuse what is sealed. Nothing was changed. Stop all parts (docker compose stop "
                f"{' '.join(PARTS)}), make a backup, and begin again."
            )
        time.sleep(LOOK_S)


def seals(migration: Migration) -> bool:
    """Whether a step seals what is there."""
    return hasattr(sys.modules[migration.__module__], "seal_all")


def _at_work(connection: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else one transaction sees the same list again
        cursor.execute(AT_WORK, [list(PARTS)])
        return [name for (name,) in cursor.fetchall()]
