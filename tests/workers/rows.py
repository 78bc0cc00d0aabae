"""Makes due rows of both kinds of work and looks at them from another connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message

HOUR = timedelta(hours=1)
COMMITS = {"transaction": True, "available_apps": ["backend.apps.laboratory"]}  # and clears up lab messages only
KEEPS = {"transaction": True, "available_apps": []}  # and clears up nothing
CANARY = "CANARY-SURNAME-1980-05-17"


def messages(count: int, **over: Any) -> list[InboundMessage]:
    """Save messages that are due, oldest first; handling them twice is safe."""
    now = timezone.now()
    return [make_inbound_message(due_at=now - HOUR + timedelta(seconds=n), **over) for n in range(count)]


def reminders(count: int, **over: Any) -> list[AppointmentReminder]:
    """Save reminders that are due, oldest first; handling them twice is not safe."""
    now = timezone.now()
    return [make_reminder(due_at=now - HOUR + timedelta(seconds=n), **over) for n in range(count)]


def stored(row: Any) -> Any:
    return type(row).work.get(pk=row.pk)


def elsewhere(job: Callable[[], object]) -> None:
    """Run `job` in a thread with a connection of its own, as another worker would."""

    def run() -> None:
        try:
            job()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def run_out(row: Any) -> None:
    """Let the lease of `row` expire."""
    type(row).work.filter(pk=row.pk).update(leased_until=timezone.now() - HOUR)


def take_over(row: Any) -> None:
    """Let the lease expire and let another worker, on another connection, lease what is due."""

    def job() -> None:
        run_out(row)
        assert row.pk in {taken.pk for taken in type(row).work.lease(10)}

    elsewhere(job)


def end_my_connection() -> None:
    """Have the server end the connection of this thread, as a restart of PostgreSQL would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def job() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    elsewhere(job)
