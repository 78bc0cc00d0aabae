"""Asks two readers of others about ten thousand claims of all kinds; they must find nothing.

Not a measure of speed: each reader takes half a minute and more, so each has a process of its own for each file.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from backend.apps.insurance.models import Interchange
from integrations.x12.claim_837p import Writer837P
from tests.benchmarks.bars import Bar, tell
from tests.support import claim_load
from tests.support.claim_facts import ENVELOPE, KINDS, PARTS, RECEIVER, SUBMITTER, random_claims
from tests.support.x12valid import by_pyx12, by_x12sdk, transactions
from workers.claims import building

CLAIMS = int(os.environ.get("BENCH_CLAIMS", "10000"))
OF_ROWS = max(CLAIMS // 10, 1)  # claims more that come from rows of the database, by the product's own file
A_FILE = 500  # claims of one file: the readers keep whole transactions in memory
PROCESSES = 2
SEED = int(os.environ.get("BENCH_SEED", "20"))


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    files = [*written(), *built()]
    began = time.perf_counter()
    found = asked(files)
    print(
        f"{len(files)} files read by each in {time.perf_counter() - began:.0f} s; seed {SEED}, {len(set(KINDS))} kinds"
    )
    for sentence in sorted({one for each in found.values() for one in each})[:10]:
        print(f"    {sentence[:300]}")
    what = f"in {CLAIMS:,} random claims and {OF_ROWS:,} of rows"
    return [Bar(f"findings of {name} {what}", "0", str(len(each)), not each) for name, each in found.items()]


def written() -> Iterator[str]:
    """Yield files of claims of every kind."""
    claims = random_claims(CLAIMS, seed=SEED)
    for start in range(0, len(claims), A_FILE):
        writer = Writer837P(ENVELOPE, SUBMITTER, RECEIVER, PARTS)
        yield (writer.write(claims[start : start + A_FILE]).content + writer.close()).decode("ascii")


def built() -> Iterator[str]:
    """Yield files that the product makes of rows."""
    claim_load.clear()
    practice = claim_load.practice(patients=min(OF_ROWS, claim_load.PATIENTS))
    practice.partner.max_claims_per_file = A_FILE
    practice.partner.save()
    claim_load.queue(claim_load.claims(practice, OF_ROWS))
    while building.build(practice.partner.pk):
        pass
    files = Interchange.objects.order_by("interchange_number")
    assert sum(file.items for file in files) == OF_ROWS
    for file in files:
        yield bytes(file.content).decode("ascii")


def asked(files: list[str]) -> dict[str, list[str]]:
    """Return what each reader says of all files."""
    found: dict[str, list[str]] = {"pyx12": [], "x12sdk": []}
    with ProcessPoolExecutor(PROCESSES) as pool:
        asking = {
            pool.submit(ask, file): name for file in files for name, ask in (("pyx12", by_pyx12), ("x12sdk", expected))
        }
        for number, answer in enumerate(as_completed(asking), start=1):
            found[asking[answer]] += answer.result()
            show(number, len(asking))
    return found


def expected(text: str) -> list[str]:
    return by_x12sdk(text, len(transactions(text)))


def show(number: int, total: int) -> None:
    """Show how far it is, where somebody looks."""
    if sys.stdout.isatty():
        width = 40 * number // total
        end = "\n" if number == total else ""
        print(f"\r  [{'#' * width:40}] {number} of {total} readings", end=end, flush=True)
