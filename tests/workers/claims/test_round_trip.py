"""Claims go to a clearinghouse that reads them with the readers of others, and its answers decide each of them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.utils import timezone

from backend.apps.core.models import WorkTally
from backend.apps.insurance import timeline
from backend.apps.insurance.models import (
    InboundFile,
    InsuranceClaim,
    Interchange,
    Posting,
    Remittance,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests import factories
from integrations.x12.fake import FakeClearinghouse
from tests.support.queued_claims import queued_claim
from workers.claims import building, collecting, reading, transmitting

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quick(settings: Any, rung: list[str]) -> None:
    settings.CLAIMS_LOOK_AGAIN_S = 0.0


def send(partner: TradingPartner) -> None:
    assert building.build(partner.pk) is not None
    earlier = timezone.now() - timedelta(minutes=1)
    Interchange.objects.filter(work_state="waiting").update(due_at=earlier)
    assert transmitting.transmit_due() == "1 sent"


def take_in(house: FakeClearinghouse, *kinds: str) -> None:
    house.answer(*kinds)
    collecting.collect_due()
    InboundFile.objects.filter(work_state="waiting").update(due_at=timezone.now() - timedelta(minutes=1))
    reading.read_due()
    left = InboundFile.objects.exclude(status="applied").values_list("kinds", "status", "findings")
    assert list(left) == []


def status(claim: InsuranceClaim) -> str:
    claim.refresh_from_db()
    return claim.status


def test_a_batch_with_a_bad_claim_comes_to_its_end_claim_by_claim(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    factories.billing_entity(is_default=True)
    TradingPartner.objects.update(ack_requested=True)
    plan = factories.make_plan()  # one payer: all of them in one transaction
    covers = [factories.make_patient_insurance(insurance_plan=plan) for _ in range(5)]
    claims = [queued_claim(over_sftp, patient_insurance=cover) for cover in covers]
    good, bad, unknown, denied, changed = claims
    house.order(rejected_999=[bad.control_number])
    send(over_sftp)
    assert {status(claim) for claim in claims} == {"submitted"}
    take_in(house, "TA1", "999")
    assert [status(claim) for claim in claims] == ["draft", "rejected", "draft", "draft", "draft"]
    ended = WorkTally.objects.values_list("task", "outcome", "count").order_by("task")
    assert list(ended) == [("claims.collect", "done", 2), ("claims.read", "done", 2), ("claims.transmit", "done", 1)]
    assert Submission.objects.filter(status="queued").count() == 4

    house.order(
        rejected_999=[], rejected_277={unknown.control_number: "A3:33"}, denied={denied.control_number: "CO-16"}
    )
    send(over_sftp)
    take_in(house, "TA1", "999")
    assert {status(claim) for claim in (good, unknown, denied, changed)} == {"pending"}
    take_in(house, "277CA", "277CA-payer")
    assert [status(claim) for claim in claims] == ["accepted", "rejected", "rejected", "accepted", "accepted"]
    take_in(house, "835")
    assert [status(claim) for claim in claims] == ["paid", "rejected", "rejected", "denied", "paid"]
    house.order(next_reversals=[changed.control_number])
    take_in(house, "835")
    assert status(changed) == "paid"
    assert Posting.objects.filter(claim=changed, is_reversal=True).exists()

    for claim in (good, changed):
        paid = Posting.objects.filter(claim=claim, kind="payment").aggregate(total=Sum("amount"))["total"]
        assert claim.paid_amount == paid > Decimal(0)
    assert set(Remittance.objects.values_list("status", flat=True)) == {"posted"}
    kinds = [step.kind for step in timeline.steps(good) if step.kind != "837"]
    assert kinds == ["TA1", "999", "TA1", "999", "277CA", "277CA", "835"]
