"""Measures sending: threads against a slow provider, and everything we promise against the plain pattern."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core import dispatch
from tests.benchmarks import plain_reminders
from tests.benchmarks.bars import Bar, tell
from tests.support import reminder_load
from tests.support.stage import Stage, until

THREADS = (8, 16, 32)
SLOW_S, SECONDS = 0.1, 6  # the provider's latency, and how long each run takes at the ideal rate
BAR_SHARE, BAR_RATIO = 0.9, 5.0
ROUNDS = 3
OURS, PLAIN = int(os.environ.get("BENCH_REMINDERS", "3000")), 600  # messages of one round
FULL = 0.85  # of both cores: then the CPU is the limit and not the threads


@dataclass(frozen=True)
class Measured:
    """One run: messages a second, and the share of all cores that was busy meanwhile."""

    rate: float
    busy: float


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    return [*slow_provider(), fast_provider()]


def slow_provider() -> list[Bar]:
    """Send with more and more threads to a provider that takes 100 ms."""
    found = []
    for threads in THREADS:
        ideal = threads / SLOW_S
        with staged(latency_s=SLOW_S, threads=threads) as stage:
            stage.worker("one", concurrency=1)
            measured = timed(lambda stage=stage: send_ours(stage), int(ideal * SECONDS))
        share, full = measured.rate / ideal, measured.busy >= FULL
        print(f"{measured.rate:8.1f} sent/s of {ideal:.0f}   {threads} threads, {measured.busy:.0%} of the CPU")
        name = f"{threads} threads at {SLOW_S * 1000:.0f} ms"
        told = f"{share:.0%}{' (CPU full)' if full else ''}"
        found.append(Bar(name, f"{BAR_SHARE:.0%} of threads/latency", told, share >= BAR_SHARE or full))
    return found


def fast_provider() -> Bar:
    """Send to a provider that answers at once: ours and the plain pattern in turn, each with two processes."""
    ours, plain = [], []
    with staged(latency_s=0.0, threads=8) as stage:
        for name in ("one", "two"):
            stage.worker(name, concurrency=1)
        stage.start(
            "plain", "-m", "celery", "-A", "tests.benchmarks.plain_reminders", "worker", "-Q", "plain", "-c", "2",
            "--without-mingle", "--without-gossip", "-l", "WARNING",
        )  # fmt: skip
        plain_reminders.app.conf.broker_url = stage.redis.url
        timed(lambda: send_ours(stage), 300)  # then everything is loaded and connected
        timed(send_plain, 60)
        for _ in range(ROUNDS):
            ours.append(timed(lambda: send_ours(stage), OURS))
            plain.append(timed(send_plain, PLAIN))
    for name, found in (("ours", ours), ("a task and the SDK's own client per reminder", plain)):
        for one in found:
            print(f"{one.rate:8.1f} sent/s   {one.busy:.0%} of the CPU   {name}")
    ratio = statistics.median(one.rate for one in ours) / statistics.median(one.rate for one in plain)
    return Bar("sending against the plain pattern", f"{BAR_RATIO:.0f} times", f"{ratio:.1f} times", ratio >= BAR_RATIO)


@contextmanager
def staged(*, latency_s: float, threads: int) -> Iterator[Stage]:
    """Give a stage whose workers send to a provider of this latency."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            stage.start("provider", "-m", "tests.support.provider_stub", "--latency", str(latency_s))
            stage.extra.update(
                CARERELAY_SMS="twilio",
                TWILIO_ACCOUNT_SID="AC" + "0" * 32,
                TWILIO_AUTH_TOKEN="test-token",
                TWILIO_FROM="+14155550199",
                TWILIO_BASE_URL=until(lambda: stage.log("provider").decode().strip()),
                CARERELAY_SMS_PER_SECOND="100000",
                CARERELAY_SEND_THREADS=str(threads),
            )
            yield stage
        finally:
            stage.close()


def timed(send: Callable[[], None], count: int) -> Measured:
    """Send `count` reminders that are due; the clock runs from the first bell to the last outcome on disk."""
    reminder_load.clear()
    reminder_load.due_texts(count)
    reminder_load.vacuum()
    psutil.cpu_percent()
    began = time.perf_counter()
    send()
    until(lambda: AppointmentReminder.objects.filter(status="sent").count() == count, 120)
    return Measured(count / (time.perf_counter() - began), psutil.cpu_percent() / 100)


def send_ours(stage: Stage) -> None:
    with dispatch.ringing_at(stage.redis.url) as ring:
        for _ in range(2):  # one bell for each worker, as sweep and booking ring
            ring("reminders.deliver")


def send_plain() -> None:
    for pk in AppointmentReminder.objects.values_list("pk", flat=True):
        plain_reminders.remind.delay(str(pk))
