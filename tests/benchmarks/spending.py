"""How much CPU and memory a measure takes, wherever it is spent; without it each bench would count in its own way."""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil
from django.db import connection


def reset_peak() -> float:
    """Begin to note anew how much memory this process holds at most; return how much it holds, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return status_mb("VmRSS")


def status_mb(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def postmaster() -> psutil.Process:
    """Return the process of the database server that starts all others."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        parent = psutil.Process(cursor.fetchone()[0]).parent()
    assert parent is not None
    return parent


def spent_s(server: psutil.Process) -> float:
    """Return the CPU seconds of this process and of all of the database server, those of ended backends too.

    What is counted of ended backends is what their parent has taken note of, which it does at once.
    """
    own = server.cpu_times()
    total = time.process_time() + own.user + own.system + own.children_user + own.children_system
    for child in server.children():
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
