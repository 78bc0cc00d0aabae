"""Proves that a payment that comes twice at the same moment is posted once, with real connections."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db.models import Sum

from backend.apps.insurance.models import InboundFile, Posting, Remittance
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import inbound_file
from tests.support.races import at_once
from tests.workers.claims.answers import content, paid_835, sent_one
from workers.claims import reading


@pytest.mark.django_db(transaction=True)
def test_two_workers_on_two_copies_of_a_payment_post_it_once(rung: list[str]) -> None:
    partner = make_partner()
    claim, _ = sent_one(partner)
    copies = [
        inbound_file(partner, content=content(paid_835(claim, trace="EFT-1")), status="received") for _ in range(3)
    ]

    def read(file: InboundFile) -> None:
        InboundFile.objects.filter(pk=file.pk).update(**reading.read(file))

    assert at_once(*(lambda file=file: read(file) for file in copies)) == ["done"] * 3
    assert sorted(InboundFile.objects.values_list("status", flat=True)) == ["applied", "duplicate", "duplicate"]
    assert Remittance.objects.count() == 1
    claim.refresh_from_db()
    paid = Posting.objects.filter(claim=claim, kind="payment").aggregate(total=Sum("amount"))["total"]
    assert (claim.paid_amount, paid) == (Decimal(100), Decimal(100))
