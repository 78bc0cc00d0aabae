"""Kills all that the lab feed stands on while laboratories send: what was acknowledged is filed, once, and adds up."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab_load import Load
from tests.support.siege import Siege, verdict

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def siege(tmp_path: Path) -> Iterator[Siege]:
    made = Siege(tmp_path, seed=secrets.randbelow(10**6))
    yield made
    made.close()


def test_whatever_is_killed_each_acknowledged_message_is_filed_once(siege: Siege) -> None:
    print(f"seed {siege.seed}")
    load = Load(siege.port, siege.seed, siege.record_numbers, pause_s=0.15)
    siege.start()
    load.start()
    siege.fight(8.0, (0.5, 1.2))
    assert siege.settle(load), siege.rows(
        "SELECT status, work_state, count(*) FROM laboratory_inboundmessage GROUP BY 1, 2"
    )
    print(siege.kills, load.troubles, len(load.acknowledged))
    assert min(siege.kills[weapon] for weapon in siege.weapons) >= 1
    assert len(load.acknowledged) > 100
    assert verdict(siege, load) == []
