"""Proves the way of a claim with real processes: submitted while the broker is away, sent, answered and paid."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from backend.apps.insurance.models import InsuranceClaim, Interchange, Posting, Submission
from backend.apps.insurance.tests.factories import billing_entity, ready_claim
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from integrations.x12.fake import FakeClearinghouse
from tests.pipelines.test_broker_away import PASSWORD, SWEEP, serve
from tests.support.claims_siege import partner_of
from tests.support.stage import Stage, until

ANSWERS = ("999", "277CA", "277CA-payer", "835")
BUILD = "import workers.celery_app; from workers.claims import building; print(building.build_due())"


@pytest.fixture
def house(tmp_path: Path, stage: Stage) -> Iterator[FakeClearinghouse]:
    """A clearinghouse that decides a claim as soon as it has it; the stage knows where its key lies."""
    stage.extra |= {"CARERELAY_PARTNER_SECRETS": str(tmp_path / "secrets"), "CARERELAY_CLAIMS_LOOK_AGAIN_S": "0"}
    with FakeClearinghouse(tmp_path / "house", at_once=ANSWERS) as running:
        running.order(checks=False)
        yield running


def signed_in(api: str, login: User) -> dict[str, str]:
    token = requests.post(f"{api}/auth/token/", json={"email": login.email, "password": PASSWORD}, timeout=20)
    assert token.status_code == 200, token.text
    return {"Authorization": f"Bearer {token.json()['access']}"}


def test_a_claim_submitted_while_redis_is_dead_is_sent_once_and_paid(
    stage: Stage, house: FakeClearinghouse, tmp_path: Path
) -> None:
    billing_entity(is_default=True)
    partner = partner_of(house, tmp_path / "secrets")
    claim = ready_claim(partner=partner)
    api = serve(stage)
    stage.kill_redis_and_wipe_it()
    desk = signed_in(api, make_user("receptionist", password=PASSWORD))
    answer = requests.post(f"{api}/insurance-claims/{claim.pk}/submit/", json={}, headers=desk, timeout=20)
    assert (answer.status_code, answer.json()["submission_state"]) == (200, "queued"), answer.text
    hurry = requests.post(f"{api}/trading-partners/{partner.pk}/build_now/", json={}, headers=desk, timeout=20)
    assert hurry.status_code == 200, hurry.text
    assert b"the broker is away; claims.build waits" in stage.log("web")
    assert stage.start("build", "-c", BUILD).wait(60) == 0
    assert b"the broker is away; claims.transmit waits" in stage.log("build")
    assert (Interchange.objects.get().status, Submission.objects.get().status) == ("ready", "batched")

    stage.redis.start()
    stage.start("sweep", "-c", SWEEP)
    stage.worker()
    until(lambda: Interchange.objects.filter(status="sent", work_state="done").exists())
    house.settle()
    asked = requests.post(f"{api}/trading-partners/{partner.pk}/collect_now/", json={}, headers=desk, timeout=20)
    assert asked.status_code == 200, asked.text
    until(lambda: InsuranceClaim.objects.filter(status="paid").exists())
    file, paid = Interchange.objects.get(), InsuranceClaim.objects.get().paid_amount
    assert [(entry.name, entry.verdict) for entry in house.ledger()] == [(file.file_name, "taken")]
    assert paid == sum(Posting.objects.filter(kind="payment").values_list("amount", flat=True)) > Decimal(0)
    assert Submission.objects.get().status == "adjudicated"
