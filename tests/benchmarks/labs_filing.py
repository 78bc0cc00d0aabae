"""Measures filing end to end: messages of 8 results through listener and two workers, against the plain pattern."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
from django.db import connection

from backend.apps.laboratory.models import InboundMessage, LabFeed, LabResult, LabTest
from backend.apps.patients.models import Patient
from tests.benchmarks import plain_filing
from tests.benchmarks.bars import Bar, tell
from tests.support.stage import Stage, until
from workers.cli import state

PATIENTS, ROUNDS, CONNECTIONS = 500, 3, 16
WARM_UP = 1000
OURS, PLAIN = int(os.environ.get("BENCH_MESSAGES", "4000")), 150  # messages of one round
BAR_RATE, BAR_RATIO = 400.0, 20.0
CODES = ("2823-3", "2951-2", "2075-0", "2028-9", "3094-0", "2160-0", "2345-7", "17861-6")
TABLES = (
    "laboratory_labresult", "laboratory_labspecimen", "laboratory_reportedpanel", "laboratory_fillernumber",
    "laboratory_laborder", "laboratory_inboundmessage",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """One run: messages a second, and milliseconds of CPU a message in the workers and in PostgreSQL."""

    rate: float
    worker_ms: float
    postgres_ms: float


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    numbers = clinic()
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            ours, plain = measure(stage, numbers)
        finally:
            stage.close()
    return verdict(ours, plain)


def verdict(ours: list[Measured], plain: list[Measured]) -> list[Bar]:
    for name, found in (("ours", ours), ("a task, hl7apy and saves per message", plain)):
        for one in found:
            print(
                f"{one.rate:8.1f} msg/s   CPU/msg: workers {one.worker_ms:6.2f} ms, "
                f"PostgreSQL {one.postgres_ms:6.2f} ms   {name}"
            )
    rate = statistics.median(one.rate for one in ours)
    ratio = rate / statistics.median(one.rate for one in plain)
    return [
        Bar("filed end to end, 8 results each", f"{BAR_RATE:.0f} msg/s", f"{rate:.0f} msg/s", rate >= BAR_RATE),
        Bar("filing against the plain pattern", f"{BAR_RATIO:.0f} times", f"{ratio:.1f} times", ratio >= BAR_RATIO),
    ]


def measure(stage: Stage, numbers: list[str]) -> tuple[list[Measured], list[Measured]]:
    port = state.free_port()
    stage.extra["REDIS_URL"] = stage.redis.url
    stage.start("mllp", "-m", "workers.mllp_listener", "--port", str(port))
    workers = [stage.worker(name, concurrency=1) for name in ("one", "two")]
    plain_worker = stage.start(
        "plain", "-m", "celery", "-A", "tests.benchmarks.plain_filing", "worker", "-Q", "plain", "-c", "2",
        "--without-mingle", "--without-gossip", "-l", "INFO",
    )  # fmt: skip
    until(lambda: b" ready." in stage.log("plain") and b"listening" in stage.log("mllp"), 60)
    plain_filing.app.conf.broker_url = stage.redis.url
    clear()
    send_ours(port, numbers, WARM_UP)  # then everything is loaded and connected, and no table is empty
    vacuum()
    ours, plain = [], []
    for _ in range(ROUNDS):
        ours.append(timed(lambda: send_ours(port, numbers, OURS), OURS, [one.pid for one in workers]))
        plain.append(timed(lambda: send_plain(numbers, PLAIN), PLAIN, [plain_worker.pid]))
    return ours, plain


def timed(send: Callable[[], None], count: int, workers: list[int]) -> Measured:
    results = LabResult.objects.count()
    before, postgres = cpu(workers), cpu([postmaster()])
    began = time.perf_counter()
    send()
    rate = count / (time.perf_counter() - began)
    assert LabResult.objects.count() == results + 8 * count
    per = 1000 / count
    return Measured(rate, (cpu(workers) - before) * per, (cpu([postmaster()]) - postgres) * per)


def send_ours(port: int, numbers: list[str], count: int) -> None:
    raws = [message(numbers[place % len(numbers)]) for place in range(count)]
    asyncio.run(deliver(port, raws))
    until(lambda: not InboundMessage.objects.filter(work_state__in=["waiting", "running"]).exists(), 300)
    assert not InboundMessage.objects.exclude(status="filed").exists()


def send_plain(numbers: list[str], count: int) -> None:
    for place in range(count):
        raw = message(numbers[place % len(numbers)])
        name = f"bench:{secrets.token_hex(12)}"
        row = InboundMessage.objects.create(
            raw=raw,
            size_bytes=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
            control_id=name,
            dedupe_key=name,
            work_state="held",  # out of the way of the other workers
        )
        plain_filing.file.delay(str(row.pk))
    until(lambda: not InboundMessage.objects.filter(work_state="held").exists(), 300)


async def deliver(port: int, raws: Sequence[bytes]) -> None:
    """Send every message over a few connections, each waiting for its acknowledgement, as laboratories do."""
    waiting = iter(raws)

    async def laboratory() -> None:
        reader, writer = await asyncio.open_connection(state.HOST, port)
        for raw in waiting:
            writer.write(b"\x0b" + raw + b"\x1c\r")
            answer = await reader.readuntil(b"\x1c\r")
            assert b"MSA|AA|" in answer, answer[:200]
        writer.close()

    await asyncio.gather(*(laboratory() for _ in range(CONNECTIONS)))


def message(number: str) -> bytes:
    """Return an ORU^R01 of 8 observations of one patient, like no other."""
    name = secrets.token_hex(8)
    digits = name[:2].translate(DIGITS)
    lines = "".join(
        f"OBX|{place}|NM|{code}^Observation {place}^LN||{place}.{digits}|mmol/L|{place}.0-{place}.9|N|||F|||{TAKEN}\r"
        for place, code in enumerate(CODES, start=1)
    )
    return (
        f"MSH|^~\\&|BENCH|BENCH FILING|CARERELAY|CLINIC|20260302130000-0500||ORU^R01^ORU_R01|{name}|P|2.5.1\r"
        f"PID|1||{number}^^^CLINIC^MR||Bench^Person||19800517|F\r"
        f"OBR|1||{name}^BENCH|24323-8^Metabolic panel^LN|||20260302120000-0500|||||||||||||||20260302130000-0500|||F\r"
        f"{lines}"
    ).encode()


TAKEN = "20260302120000-0500"
DIGITS = str.maketrans("abcdef", "012345")


def clinic() -> list[str]:
    """Make the patients, tests and feed the messages are about, once; return the record numbers."""
    LabFeed.objects.get_or_create(name="Filing benchmark", sending_application="BENCH", sending_facility="BENCH FILING")
    for code in (*CODES, "24323-8"):
        LabTest.objects.get_or_create(
            test_code=code,
            defaults={"test_name": "Benchmark", "test_category": "chemistry", "unit_of_measure": "mmol/L"},
        )
    numbers = [f"BENCHF{place:05d}" for place in range(PATIENTS)]
    Patient.objects.bulk_create(
        [
            Patient(medical_record_number=one, first_name="Person", last_name="Bench", date_of_birth=date(1980, 5, 17))
            for one in numbers
        ],
        ignore_conflicts=True,
    )
    return numbers


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")


def vacuum() -> None:
    """Do what autovacuum does once a minute: PostgreSQL plans by the sizes it finds then."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}, patients_patient, laboratory_labtest")


def postmaster() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return psutil.Process(cursor.fetchone()[0]).ppid()


def cpu(pids: Sequence[int]) -> float:
    """Return the seconds of CPU these processes and their children have taken."""
    family = [each for pid in pids for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    times = [each.cpu_times() for each in family]
    return sum(one.user + one.system for one in times)
