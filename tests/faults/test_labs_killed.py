"""Kills all that the lab feed stands on while laboratories send: what was acknowledged is filed, once, and adds up.

The full form, minutes of kills and sixteen laboratories, is `./carerelay bench labs-kill`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab_load import Load
from tests.support.siege import Siege, verdict
from tests.support.stage import database_url

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def siege(tmp_path: Path, db: None) -> Iterator[Siege]:
    made = Siege(tmp_path, seed=secrets.randbelow(10**6), tables=database_url())
    yield made
    made.close()


def test_whatever_is_killed_each_acknowledged_message_is_filed_once_and_the_books_agree(siege: Siege) -> None:
    print(f"seed {siege.seed}")
    load = Load(siege.port, siege.seed, siege.record_numbers, pause_s=0.15)
    siege.start()
    load.start()
    siege.fight(6.0, (0.4, 1.0))
    assert siege.settle(load), what_is_open(siege, load)
    print(siege.kills, load.troubles, len(load.acknowledged))
    assert min(siege.kills[weapon] for weapon in siege.weapons) >= 1
    assert len(load.acknowledged) > 50
    assert verdict(siege, load) == []
    code, (books,) = siege.reconcile()
    assert (code, books["faults"]) == (0, [])
    assert [account["taken_in"] for account in books["accounts"]] == [len(load.acknowledged)]
    assert_that_a_loss_would_be_seen(siege, load)


def what_is_open(siege: Siege, load: Load) -> str:
    rows = siege.rows("SELECT status, work_state, count(*) FROM laboratory_inboundmessage GROUP BY 1, 2")
    waiting = "a laboratory has no answer" if load.is_waiting() else "all is answered"
    return f"{waiting}; {rows}; {load.troubles}\n{siege.stage.log('mllp')[-3000:].decode()}"


def assert_that_a_loss_would_be_seen(siege: Siege, load: Load) -> None:
    """Take one acknowledged message away behind the database's back: verdict and books must both miss it."""
    ((gone,),) = siege.rows("SELECT control_id FROM laboratory_inboundmessage WHERE status = 'worklist' LIMIT 1")
    delete = f"DELETE FROM laboratory_inboundmessage WHERE control_id = '{gone}'"  # noqa: S608  # a name of ours
    siege.rows(f"SET session_replication_role = replica; {delete}")
    assert verdict(siege, load) == [f"{gone} was acknowledged AA and is stored 0 times"]
    code, (books,) = siege.reconcile()
    assert (code, [fault["check"] for fault in books["faults"]]) == (1, ["intake"])
