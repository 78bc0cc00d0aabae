"""Kills workers at every moment of an upload, again and again; the partner must have each file of claims once.

Not a measure of speed. Seven points of the protocol, BENCH_SEEDS (20) seeds each, another worker beside or after the
one that dies; counted from the ledger of the clearinghouse.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from django.db import connection

from integrations.x12.fake import FakeClearinghouse
from tests.benchmarks.bars import Bar, tell
from tests.support.claims_siege import FILES, POINTS, ClaimsSiege, Found, partner_of

SEEDS = int(os.environ.get("BENCH_SEEDS", "20"))


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    with tempfile.TemporaryDirectory(prefix="carerelay-claims-") as folder:
        found = fought(Path(folder))
    return [_bar(point, rounds) for point, rounds in found.items()]


def fought(folder: Path) -> dict[str, list[Found]]:
    secrets = folder / "secrets"
    environment = {**os.environ, "DATABASE_URL": _database_url(), "CARERELAY_PARTNER_SECRETS": str(secrets)}
    with FakeClearinghouse(folder / "house") as house:
        house.order(checks=False)
        with ClaimsSiege(partner_of(house, secrets), house, environment) as siege:
            return {point: [siege.fight(point, seed) for seed in range(SEEDS)] for point in POINTS}


def _bar(point: str, rounds: list[Found]) -> Bar:
    doubled, lost = sum(one.doubled for one in rounds), sum(one.lost for one in rounds)
    struck = sum(one.struck for one in rounds)
    print(f"killed {point}: {struck} of {len(rounds)} times, {FILES * len(rounds)} files")
    good = all(one.good for one in rounds)
    return Bar(f"files of claims, killed {point}: doubled / lost", "0 / 0", f"{doubled} / {lost}", good)


def _database_url() -> str:
    at = connection.settings_dict
    return f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
