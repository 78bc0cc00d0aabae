"""What is done to the stack itself on a day of faults, and what ends such a day; without it nothing would be killed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil
from kombu.exceptions import OperationalError

from backend.apps.core import dispatch
from workers.cli import console, demo_counts, state, stopping
from workers.cli.demo_counts import Database
from workers.cli.state import Running

TICKS = ("sweep.overdue", "sweep.hold_lost", "reminders.reconcile")
RING_EVERY_S = 3.0


def now_running(running: Running) -> Running:
    """Return the stack with the processes it has now: what was killed has been started again since."""
    return state.read_running(folder_of(running)) or running


def folder_of(running: Running) -> Path:
    return Path(running.env["CARERELAY_STATE"])


def kill_worker(running: Running) -> None:
    """Kill -9 the worker and its children; the supervisor starts it again."""
    worker = psutil.Process(now_running(running).pids["worker"])
    for process in [*worker.children(recursive=True), worker]:
        with suppress(ProcessLookupError):  # it may end with those before it
            os.kill(process.pid, signal.SIGKILL)
    console.say(f"{'kill -9':16}worker  process {worker.pid}")


def wipe_broker(running: Running) -> None:
    """Take away what the broker keeps and kill it; it is started again with nothing."""
    broker = psutil.Process(now_running(running).pids["redis"])
    for path in (folder_of(running) / "valkey").glob("appendonly*"):
        shutil.rmtree(path, ignore_errors=True)
    broker.kill()
    console.say(f"{'kill -9':16}broker  process {broker.pid}, and all it kept is gone")


def end_dead_leases(running: Running, database: Database) -> None:
    """End leases taken before the present worker was started, by one that was killed; else they last six minutes."""
    worker = now_running(running).pids.get("worker")
    if worker is None or not psutil.pid_exists(worker):
        return
    since = psutil.Process(worker).create_time()
    for name in demo_counts.tables_with(database, "work_state", "leased_until", "updated_at"):
        sql = f"""UPDATE "{name}" SET leased_until = now() - interval '1 second'
                  WHERE work_state = 'running' AND leased_until > now() AND updated_at < to_timestamp(%s)"""  # noqa: S608 - a name of ours
        database.execute(sql, [since])


def ring(running: Running) -> None:
    """Ring as the beat does, only more often."""
    try:
        with dispatch.ringing_at(running.env["REDIS_URL"]) as ring_now:
            for name in TICKS:
                ring_now(name)
    except OperationalError:  # it starts again at this moment
        return


def rest(running: Running, database: Database, began: datetime, reported: Callable[[], bool], within_s: float) -> bool:
    """Wait until nothing of the day is in line and all reports came; False when time is up."""
    deadline, told = time.monotonic() + within_s, ""
    while time.monotonic() < deadline:
        left = demo_counts.in_line(database, began)
        if not left and reported():
            return True
        now = ", ".join(f"{count} {name.partition('_')[2]}" for name, count in left.items()) or "reports"
        if now != told:
            console.say(f"{'in line':16}{now}")
            told = now
        end_dead_leases(running, database)
        ring(running)
        stopping.pause(RING_EVERY_S)
    return False


def await_count(running: Running, database: Database, count: Callable[[], int], wanted: int, within_s: float) -> None:
    """Wait until something has come so far, or for so long: a sender may be paused meanwhile."""
    deadline, next_ring = time.monotonic() + within_s, 0.0
    while count() < wanted and time.monotonic() < deadline:
        if time.monotonic() > next_ring:
            end_dead_leases(running, database)
            ring(running)
            next_ring = time.monotonic() + RING_EVERY_S
        stopping.pause(0.1)
