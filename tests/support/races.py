"""Runs jobs at the same moment on connections of their own; without it races would be tested by luck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection

from backend.apps.core.exceptions import DomainError


def at_once(*jobs: Callable[[], object]) -> list[str]:
    """Run the jobs in threads that start together; return "done" or the name of the refusal of each."""
    barrier, outcomes = threading.Barrier(len(jobs)), [""] * len(jobs)

    def run(place: int, job: Callable[[], object]) -> None:
        barrier.wait()
        try:
            job()
            outcomes[place] = "done"
        except (DomainError, ValidationError, DatabaseError) as refusal:
            outcomes[place] = type(refusal).__name__
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def wait_until_waited_for() -> None:
    """Wait until another connection waits for what this transaction holds."""
    until = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            if cursor.fetchone():
                return
            time.sleep(0.01)
    raise AssertionError("nobody waited")
