"""Measures the door for lab feeds against plain commits and two MLLP servers, in interleaved rounds of one run.

Bars: at least 85 % of the rate at which plain client connections commit the same rows, with 8 and with 32; at 32 at
least 40 times the asyncio server of `hl7` and 20 times hl7apy's server; p99 under 50 ms; 1,000 idle connections in less
than 100 MB; a message of 10 MB in less than 2 s and 100 MB more.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from django.db import connection

from backend.apps.laboratory.models import LabFeed
from tests.benchmarks.bars import Bar, tell
from tests.benchmarks.intake_load import message
from workers.cli import state

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
SLOW_SECONDS = 1.5 * SECONDS  # of the servers that do a few hundred messages a second
OF_PLAIN, OF_HL7, OF_HL7APY = 0.85, 40.0, 20.0
P99_MS, IDLE_MB, LARGE_S, LARGE_MB = 50.0, 100.0, 2.0, 100.0
MANY, TEN_MB = 1000, 10_000_000
OURS, PLAIN, HL7, HL7APY = "ours", "plain commits", "hl7 asyncio server", "hl7apy MLLPServer"


@dataclass(frozen=True)
class Measured:
    """Rates in messages a second, CPU in microseconds a message: of the server, and of PostgreSQL."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    database_us: float
    true: bool


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    LabFeed.objects.get_or_create(name="Bench", defaults={"sending_application": "BENCH"})
    found: dict[tuple[str, int], list[Measured]] = {}
    with ExitStack() as cleanup:
        ports = {name: cleanup.enter_context(serving(*words)) for name, words in SERVERS.items()}
        for number in range(ROUNDS):
            for name, clients in ((OURS, 8), (PLAIN, 8), (HL7, 32), (OURS, 32), (PLAIN, 32), (HL7APY, 32)):
                measured = measure(name, clients, ports.get(name), number)
                found.setdefault((name, clients), []).append(measured)
    return [*judge({key: middle(rounds) for key, rounds in found.items()}), idle(), *large()]


SERVERS: dict[str, tuple[str, ...]] = {
    OURS: ("workers.mllp_listener", "--port"),
    HL7: ("tests.benchmarks.intake_rivals", "hl7"),
    HL7APY: ("tests.benchmarks.intake_rivals", "hl7apy"),
}


@contextmanager
def serving(module: str, *words: str, more: tuple[str, ...] = ()) -> Iterator[tuple[int, psutil.Process]]:
    """Run one server until the end of the block; yield its port and process."""
    port = state.free_port()
    process = subprocess.Popen([sys.executable, "-m", module, *words, str(port), *more], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.1)
        time.sleep(1.0)  # feeds are read
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def measure(name: str, clients: int, at: tuple[int, psutil.Process] | None, number: int) -> Measured:
    """Load one server, or commit plainly; every answer must be for its message, and every answered message a row."""
    empty()
    seconds = SLOW_SECONDS if name in (HL7, HL7APY) else SECONDS
    label = f"R{number}C{clients}-"
    if at is None:
        words = ["tests.benchmarks.intake_rivals", "plain", str(clients), str(seconds), label]
    else:
        words = ["tests.benchmarks.intake_load", str(at[0]), str(clients), str(seconds), label]
        words += ["--reconnect"] if name == HL7APY else []
    before = (cpu(at[1]) if at else 0.0, database_cpu())
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=True, timeout=300)
    told: dict[str, Any] = json.loads(done.stdout)
    spent = ((cpu(at[1]) if at else 0.0) - before[0], database_cpu() - before[1])
    true = told["wrong"] == 0 and rows() == told["count"]
    per = 1e6 / max(told["count"], 1)
    return Measured(told["rate"], told["p50_ms"], told["p99_ms"], spent[0] * per, spent[1] * per, true)


def middle(rounds: list[Measured]) -> Measured:
    """Return the median of each figure."""
    figures = ("rate", "p50_ms", "p99_ms", "cpu_us", "database_us")
    medians = {name: statistics.median(getattr(each, name) for each in rounds) for name in figures}
    return Measured(**medians, true=all(each.true for each in rounds))


def judge(found: dict[tuple[str, int], Measured]) -> list[Bar]:
    for (name, clients), one in found.items():
        ratio = found[OURS, clients].rate / one.rate
        print(
            f"{one.rate:9,.0f} msg/s  p50 {one.p50_ms:7.2f}  p99 {one.p99_ms:7.2f} ms  CPU {one.cpu_us:7.0f} us + "
            f"PostgreSQL {one.database_us:5.0f} us  ours is {ratio:6.2f}x  {name}, {clients} connections"
        )
    true = all(one.true for one in found.values())
    return [
        Bar("every answered message", "is one row", "so" if true else "not so", true),
        *(bar for clients in (8, 32) for bar in beside_plain(found[OURS, clients], found[PLAIN, clients], clients)),
        *(beside(found[OURS, 32], found[name, 32], name, bar) for name, bar in ((HL7, OF_HL7), (HL7APY, OF_HL7APY))),
    ]


def beside_plain(ours: Measured, plain: Measured, clients: int) -> list[Bar]:
    share = ours.rate / plain.rate
    return [
        Bar(f"intake of {clients} connections", f"{OF_PLAIN:.0%} of plain commits", f"{share:.0%}", share >= OF_PLAIN),
        Bar(f"p99 at {clients}", f"under {P99_MS:.0f} ms", f"{ours.p99_ms:.1f} ms", ours.p99_ms < P99_MS),
    ]


def beside(ours: Measured, theirs: Measured, name: str, bar: float) -> Bar:
    ratio = ours.rate / theirs.rate
    return Bar(f"intake against {name} at 32", f"{bar:.0f} times", f"{ratio:.1f} times", ratio >= bar)


def idle() -> Bar:
    """Hold a thousand connections that have each sent a message, and weigh the listener."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    empty()
    limits = ("--connections", str(MANY), "--per-address", str(MANY))
    with serving(*SERVERS[OURS], more=limits) as (port, process), ExitStack() as cleanup:
        for number in range(MANY):
            end = cleanup.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            end.sendall(b"\x0b" + message(f"IDLE{number}") + b"\x1c\r")
            answer(end)
        held = process.memory_info().rss / 1e6
        open_now = sum(one.status == "ESTABLISHED" and one.laddr.port == port for one in process.net_connections())
    good = held < IDLE_MB and open_now >= MANY
    return Bar(f"{open_now} idle connections", f"{MANY} in under {IDLE_MB:.0f} MB", f"{held:.0f} MB", good)


def large() -> list[Bar]:
    """Send one message of 10 MB and look at the time to its answer and at the most memory it took."""
    empty()
    raw = message("LARGE") + b"OBX|31|ED|1^Report^L||^application^pdf^Base64^" + b"QUJD" * (TEN_MB // 4) + b"|||||F\r"
    with serving(*SERVERS[OURS]) as (port, process), socket.create_connection(("127.0.0.1", port), 30) as end:
        before, began = process.memory_info().rss / 1e6, time.perf_counter()
        end.sendall(b"\x0b" + raw + b"\x1c\r")
        accepted = b"\rMSA|AA|LARGE" in answer(end)
        seconds, most = time.perf_counter() - began, highest(process) - before
    return [
        Bar("10 MB answered", f"AA in under {LARGE_S:.0f} s", f"{seconds:.2f} s", accepted and seconds < LARGE_S),
        Bar("memory for 10 MB", f"under {LARGE_MB:.0f} MB more", f"{most:.0f} MB", most < LARGE_MB),
    ]


def answer(end: socket.socket) -> bytes:
    end.settimeout(30)
    found = b""
    while not found.endswith(b"\x1c\r"):
        found += end.recv(65_536)
    return found


def highest(process: psutil.Process) -> float:
    """Return the most memory the process ever had, in MB; where the system does not tell, what it has now."""
    try:
        with open(f"/proc/{process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        return float(process.memory_info().rss / 1e6)


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def database_cpu() -> float:
    """Return the CPU seconds of PostgreSQL's processes, those that have ended too; nothing where we may not look."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    try:
        server = psutil.Process(pid).parent()
        ended = server.cpu_times()
        return ended.children_user + ended.children_system + sum(cpu(one) for one in [server, *server.children()])
    except (psutil.Error, AttributeError):
        return 0.0


def rows() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM laboratory_inboundmessage")
        return int(cursor.fetchone()[0])


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE laboratory_inboundmessage CASCADE")
