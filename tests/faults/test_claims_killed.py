"""Kills real workers at every moment of an upload; the partner must have each file once."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from integrations.x12.fake import FakeClearinghouse
from tests.support.claims_siege import POINTS, ClaimsSiege, partner_of
from tests.support.stage import Stage

pytestmark = pytest.mark.timeout(180)


def test_whenever_a_worker_is_killed_each_file_arrives_once(stage: Stage, tmp_path: Path) -> None:
    """One seed of each point; twenty of each, and OpenSSH where it is installed: `./carerelay bench claims-kill`."""
    secrets = tmp_path / "secrets"
    stage.extra["CARERELAY_PARTNER_SECRETS"] = str(secrets)
    with FakeClearinghouse(tmp_path / "house") as house:
        house.order(checks=False)
        partner = partner_of(house, secrets)
        with ClaimsSiege(partner, house, stage.environment()) as siege:
            found = {point: siege.fight(point, seed=1) for point in POINTS}
    assert {point: one for point, one in found.items() if not one.good} == {}
    call_command("reconcile", "--part", "claims", "--settle-seconds", "0")  # exits otherwise
