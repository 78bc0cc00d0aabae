"""Measures claims from rows to stored bytes against a library that generates the same ones, and the writer alone."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from django.db import connection
from psycopg.pq import Trace
from x12sdk.generate import ClaimSpec, PatientSpec, ServiceLineSpec, SubmissionSpec, generate_837p

from backend.apps.insurance.models import InsuranceClaim, Interchange, Submission
from integrations.x12.claim_837p import Writer837P
from tests.benchmarks.bars import Bar, tell
from tests.benchmarks.spending import reset_peak, status_mb
from tests.support import claim_load
from tests.support.claim_facts import ENVELOPE, PARTS, RECEIVER, SUBMITTER, random_claims
from tests.support.claim_plain import plain_837p, simple
from workers.claims import building

CLAIMS, ROUNDS = int(os.environ.get("BENCH_CLAIMS", "10000")), 5
THEIRS = min(500, CLAIMS)  # claims that the library generates in one round
WARM_UP = min(200, CLAIMS)
WRITER_ROUNDS = 9
CHUNK = 1000  # as the product gives claims to the writer
BAR_RATIO, BAR_MB, BAR_STATEMENTS, BAR_WRITER = 60.0, 150, 12.0, 0.5
RELATIONSHIPS = {"child": "19", "spouse": "01"}
ASKED = re.compile(rb"^F\t\d+\t(?:Query|Execute)\t", re.MULTILINE)  # libpq's trace: what the client makes run


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    return [*from_rows(), writer()]


class Measured(NamedTuple):
    """One run: claims a second, claims a second of CPU wherever it was spent, and the MB it needed more."""

    rate: float
    of_cpu: float
    mb: float = 0.0


def from_rows() -> list[Bar]:
    """Build files of claims that nobody has queued before; ours and theirs in turn."""
    claim_load.clear()
    practice = claim_load.practice()
    days = CLAIMS // claim_load.PATIENTS + 1
    scrubbed = warm_up(practice, days_ago=1)
    runs = [
        claim_load.claims(practice, CLAIMS, days_ago=2 + days * number, seed=number) for number in range(ROUNDS + 1)
    ]
    both = [(built(practice, rows), generated(rows[:THEIRS])) for rows in runs[1:]]
    statements = counted(practice, runs[0])
    told(both)
    ours, theirs = (statistics.median(one.rate for one in column) for column in zip(*both, strict=True))
    ratio, mb = ours / theirs, max(mine.mb for mine, _ in both)
    print(f"{BAR_RATIO:.0f} times x12sdk would be {BAR_RATIO * theirs:,.0f} claims/s")
    return [
        scrubbed,
        Bar(f"{CLAIMS:,} claims against x12sdk", f"{BAR_RATIO:.0f} times", f"{ratio:.1f} times", ratio >= BAR_RATIO),
        Bar("memory it needs more", f"{BAR_MB} MB", f"{mb:.0f} MB", mb < BAR_MB),
        Bar("statements per 1,000 claims", f"{BAR_STATEMENTS:.0f}", f"{statements:.1f}", statements <= BAR_STATEMENTS),
    ]


def warm_up(practice: claim_load.Practice, *, days_ago: int) -> Bar:
    """Build a small file, with a claim in line that has got a diagnosis since which is in no list."""
    rows = claim_load.claims(practice, WARM_UP + 1, days_ago=days_ago, seed=99)
    claim_load.queue(rows)
    InsuranceClaim.objects.filter(pk=rows[0].pk).update(diagnosis_codes=[claim_load.UNKNOWN_DIAGNOSIS, "I10"])
    claim_load.vacuum()
    found = building.build(practice.partner.pk)
    measured = "none" if found is None else f"{found.batched} sent, {found.withdrawn} kept"
    return Bar("of good claims and a bad one", f"{WARM_UP} sent, 1 kept", measured, found == (WARM_UP, 1))


def built(practice: claim_load.Practice, rows: Sequence[InsuranceClaim]) -> Measured:
    """Make one file of queued claims; the clock runs until it is committed."""
    claim_load.queue(rows)
    claim_load.vacuum()
    gc.collect()
    server = psutil.Process(connection.connection.info.backend_pid)
    before_mb, before_s, began = reset_peak(), spent_s(server), time.perf_counter()
    found = building.build(practice.partner.pk)
    took_s, cpu_s = time.perf_counter() - began, spent_s(server) - before_s
    assert found == (len(rows), 0), found
    return Measured(len(rows) / took_s, len(rows) / cpu_s, status_mb("VmHWM") - before_mb)


def generated(rows: Sequence[InsuranceClaim]) -> Measured:
    """Let the library generate claims with as many dependents, lines and codes, as far as it knows them."""
    patients = [patient(row) for row in rows]
    before_s, began = time.process_time(), time.perf_counter()
    text = generate_837p(claims=SubmissionSpec(patients=patients))
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - before_s
    assert text.count("~CLM*") + text.count("\nCLM*") == len(rows)
    return Measured(len(rows) / took_s, len(rows) / cpu_s)


def spent_s(server: psutil.Process) -> float:
    """Return the CPU seconds this process and its own server process have used."""
    times = server.cpu_times()
    return time.process_time() + times.user + times.system


def patient(row: InsuranceClaim) -> PatientSpec:
    lines = [
        ServiceLineSpec(charge=Decimal(line["charge"]), procedure=line["code"], units=line["units"])
        for line in row.procedure_codes
    ]
    claim = ClaimSpec(charge=row.billed_amount, lines=lines, patient_control_number=row.claim_number)
    relationship = RELATIONSHIPS.get(row.patient_insurance.policy_holder_relationship)
    if relationship is None:
        return PatientSpec(claims=[claim])
    return PatientSpec(claims=[claim], dependent=True, relationship=relationship)


def counted(practice: claim_load.Practice, rows: Sequence[InsuranceClaim]) -> float:
    """Return the statements that a file costs per 1,000 claims, all of them, as the client library sends them."""
    claim_load.queue(rows)
    connection.ensure_connection()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        with path.open("wb") as trace:
            raw = connection.connection.pgconn
            raw.trace(trace.fileno())
            raw.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
            assert building.build(practice.partner.pk) == (len(rows), 0)
            raw.untrace()
        return len(ASKED.findall(path.read_bytes())) * 1000 / len(rows)


def told(both: Sequence[tuple[Measured, Measured]]) -> None:
    file = Interchange.objects.order_by("interchange_number").last()
    assert file is not None
    content = bytes(file.content)
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert Submission.objects.filter(interchange=file, status="batched").count() == file.items
    print(f"a file: {len(content) / 1e6:.1f} MB, {content.count(b'~') / file.items:.1f} segments a claim")
    for ours, theirs in both:
        print(
            f"{ours.rate:9,.0f} claims/s ours, +{ours.mb:.0f} MB   {theirs.rate:7,.0f} claims/s x12sdk   "
            f"{ours.rate / theirs.rate:5.1f} times; {ours.of_cpu / theirs.of_cpu:5.1f} times by CPU, PostgreSQL's too"
        )


def writer() -> Bar:
    """Write claims that are in memory already, against formatting the same segments and checking nothing."""
    claims = [one for one in random_claims(4 * CLAIMS, seed=3) if simple(one) and one.rendering != "d99"][:CLAIMS]
    first = Writer837P(ENVELOPE, SUBMITTER, RECEIVER, PARTS)
    billing = {key: first.billing[key] for key in PARTS.billing}

    def ours() -> bytes:
        one = Writer837P(ENVELOPE, SUBMITTER, RECEIVER, PARTS)
        parts = [one.write(claims[at : at + CHUNK]).content for at in range(0, len(claims), CHUNK)]
        return b"".join([*parts, one.close()])

    def plain() -> bytes:
        return plain_837p(claims, ENVELOPE, first.header, billing, PARTS).encode()

    assert ours() == plain()
    took = [(timed(ours), timed(plain)) for _ in range(WRITER_ROUNDS)]
    mine, its = (statistics.median(column) for column in zip(*took, strict=True))
    print(f"{len(claims) / mine:9,.0f} claims/s our writer   {len(claims) / its:9,.0f} claims/s plain formatting")
    share = its / mine
    return Bar("the writer against plain formatting", f"{BAR_WRITER:.0%}", f"{share:.0%}", share >= BAR_WRITER)


def timed(call: Callable[[], Any]) -> float:
    gc.collect()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
