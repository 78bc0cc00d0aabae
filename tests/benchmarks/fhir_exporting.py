"""Measures a bulk export from kick-off to manifest against a model made, checked and dumped per row, and COPY."""

from __future__ import annotations

import gc
import gzip
import io
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from isal import igzip

from backend.apps.interop.fhir.exports import services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportFile, ExportJob, ExportStatus
from tests.benchmarks import plain_fhir
from tests.benchmarks.bars import Bar, tell
from tests.benchmarks.spending import postmaster, reset_peak, spent_s, status_mb
from tests.support import fhir_load
from workers import fhir_export

ROWS = int(os.environ.get("BENCH_OBSERVATIONS", "200000"))
MANY = int(os.environ.get("BENCH_MANY_OBSERVATIONS", str(10 * ROWS)))
PLAIN, ROUNDS = min(4000, ROWS), 3
BAR_RATIO, AIM_RATIO, AIM_COPY, BAR_MB, BAR_GZIP = 20.0, 70.0, 0.6, 50, 0.15
ONLY = Asked(types=("Observation",))
LEVEL = 1  # as the product compresses


class Measured(NamedTuple):
    """One run: resources a second of CPU, wherever it was spent, and a second of the clock."""

    of_cpu: float
    rate: float

    def __str__(self) -> str:
        return f"{self.of_cpu:>9,.0f} a core-second, {self.rate:>9,.0f} a second"


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    with own_folder():
        fhir_load.results(ROWS)
        return [*speed(), *memory()]


@contextmanager
def own_folder() -> Iterator[None]:
    """Keep the files of these exports in a folder that ends with the measure."""
    folder = Path(tempfile.mkdtemp(prefix="carerelay-bench-"))
    location = Path(settings.STORAGES["exports"]["OPTIONS"]["location"])
    location.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(location, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def speed() -> list[Bar]:
    """Export, make the same in the plain way, and copy documents that are stored already, in turn."""
    exported(ONLY)  # warm up: imports, caches, the writer
    stored = store_documents()
    rounds = [(exported(ONLY), plain(), copied()) for _ in range(ROUNDS)]
    for names in zip(("export", "plain", "COPY"), zip(*rounds, strict=True), strict=True):
        print(f"{names[0]:8} {', '.join(str(one) for one in names[1])}")
    ours, theirs, copy = (statistics.median(one.of_cpu for one in column) for column in zip(*rounds, strict=True))
    share = compression_share(stored, ours)
    print(f"{ours / theirs:.0f} times the plain way (aim {AIM_RATIO:.0f})")
    print(f"{ours / copy:.0%} of what COPY of stored documents reaches through a client (aim {AIM_COPY:.0%})")
    return [
        Bar(f"{ROWS:,} Observations, kick-off to manifest", f"{BAR_RATIO:.0f} times", f"{ours / theirs:.0f} times",
            ours / theirs >= BAR_RATIO),
        Bar("gzip, of all CPU", f"{BAR_GZIP:.0%}", f"{share:.1%}", share <= BAR_GZIP),
    ]  # fmt: skip


def memory() -> list[Bar]:
    """Export ten times as many, and look how much more memory that takes at its highest."""
    exported(ONLY)
    reset_peak()
    exported(ONLY)
    few = status_mb("VmHWM")
    fhir_load.results(MANY)
    gc.collect()
    reset_peak()
    exported(ONLY)
    more = status_mb("VmHWM") - few
    return [Bar(f"memory, {MANY:,} instead of {ROWS:,}", f"{BAR_MB} MB more", f"{more:+.0f} MB", more <= BAR_MB)]


def exported(asked: Asked) -> Measured:
    """Run one export as a worker does, from the row that asks for it to its manifest."""

    def whole() -> int:
        job = services.begin(asked)
        while not ExportJob.objects.filter(pk=job.pk, status=ExportStatus.COMPLETED).exists():
            fhir_export.run_due()
        return int(sum(ExportFile.objects.filter(job=job, kind="output").values_list("count", flat=True)))

    return measured(whole)


def plain() -> Measured:
    return measured(lambda: plain_fhir.export(io.BytesIO(), PLAIN))


def copied() -> Measured:
    """COPY the stored documents through this process into a file."""

    def whole() -> int:
        sql = "COPY (SELECT document FROM bench_document) TO STDOUT (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')"
        with tempfile.TemporaryFile() as file, connection.cursor() as cursor, cursor.copy(sql) as stream:
            for block in stream:
                file.write(block)
        return ROWS

    return measured(whole)


def measured(whole: Callable[[], int]) -> Measured:
    """Run it; it returns how many resources it wrote."""
    gc.collect()
    server = postmaster()
    before_s, began = spent_s(server), time.perf_counter()
    count = whole()
    took_s, cpu_s = time.perf_counter() - began, spent_s(server) - before_s
    return Measured(count / cpu_s, count / took_s)


def store_documents() -> bytes:
    """Put the lines of the last export into a table, as a server that keeps documents would; return some of them."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_document")
        cursor.execute("CREATE TABLE bench_document (document text)")
        first = b""
        for file in ExportFile.objects.filter(kind="output", job=ExportJob.objects.latest("created_at")):
            with gzip.open(Path(settings.STORAGES["exports"]["OPTIONS"]["location"]) / file.path) as lines:
                content = lines.read()
            first = first or content
            with cursor.copy("COPY bench_document FROM STDIN (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')") as copy:
                copy.write(content)
        cursor.execute("VACUUM (FREEZE, ANALYZE) bench_document")
    return first


def compression_share(content: bytes, rate: float) -> float:
    """Return how much of an export's CPU its compression takes, by compressing some of it again."""
    resources = content.count(b"\n")
    began = time.process_time()
    igzip.compress(content, LEVEL)
    return (time.process_time() - began) / resources * rate
