"""Kills workers at every moment of an upload, again and again; the partner must have each file of claims once.

Not a measure of speed. Eight points of the protocol, BENCH_SEEDS (20) seeds each, another worker beside or after the
one that dies; counted from the ledger of the clearinghouse.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.db import connection

from integrations.x12.fake import FakeClearinghouse
from tests.benchmarks.bars import Bar, tell
from tests.support import claim_load
from tests.support.claims_siege import FILES, OWN, POINTS, ClaimsSiege, Found, partner_of
from tests.support.openssh import MISSING, OpenSshHouse, running

SEEDS = int(os.environ.get("BENCH_SEEDS", "20"))


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    claim_load.clear()  # files of other benchmarks that wait for partners of their own
    with tempfile.TemporaryDirectory(prefix="carerelay-claims-") as folder:
        found = fought(Path(folder))
    if MISSING:
        print(f"Only against asyncssh: {MISSING}.")
        return [_bar(point, rounds) for point, rounds in found.items()]
    with tempfile.TemporaryDirectory(prefix="carerelay-openssh-") as folder:
        found |= fought_openssh(Path(folder))
    return [_bar(point, rounds) for point, rounds in found.items()]


def fought(folder: Path) -> dict[str, list[Found]]:
    secrets = folder / "secrets"
    with FakeClearinghouse(folder / "house") as house:
        house.order(checks=False)
        with ClaimsSiege(partner_of(house, secrets), house, _environment(secrets)) as siege:
            return _rounds(siege, POINTS)


def fought_openssh(folder: Path) -> dict[str, list[Found]]:
    """The same with the server that most partners run; it cannot be made to strike, so the points are our own."""
    secrets = folder / "secrets"
    with running(folder) as server, OpenSshHouse(server) as house:
        partner = partner_of(house, secrets, house.folders)
        with ClaimsSiege(partner, house, _environment(secrets)) as siege:
            return {f"{point} (OpenSSH)": rounds for point, rounds in _rounds(siege, OWN).items()}


def _rounds(siege: ClaimsSiege, points: Sequence[str]) -> dict[str, list[Found]]:
    return {point: [siege.fight(point, seed) for seed in range(SEEDS)] for point in points}


def _environment(secrets: Path) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": _database_url(), "CARERELAY_PARTNER_SECRETS": str(secrets)}


def _bar(point: str, rounds: list[Found]) -> Bar:
    doubled, lost = sum(one.doubled for one in rounds), sum(one.lost for one in rounds)
    struck = sum(one.struck for one in rounds)
    print(f"killed {point}: {struck} of {len(rounds)} times, {FILES * len(rounds)} files")
    good = all(one.good for one in rounds)
    return Bar(f"files of claims, killed {point}: doubled / lost", "0 / 0", f"{doubled} / {lost}", good)


def _database_url() -> str:
    at = connection.settings_dict
    return f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
