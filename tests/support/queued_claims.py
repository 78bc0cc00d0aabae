"""Queues claims as the desk would have; without it each test of their way out would repeat the steps before."""

from __future__ import annotations

from typing import Any

from backend.apps.insurance import numbering
from backend.apps.insurance.models import InsuranceClaim, Submission, TradingPartner
from backend.apps.insurance.tests import factories


def queued_claim(by: TradingPartner, **over: Any) -> InsuranceClaim:
    """Save a claim that no edit objects to, queued for `by`."""
    claim = factories.ready_claim(partner=by, **{"billing_entity": None, **over})
    return queue(claim, by)


def queue(claim: InsuranceClaim, by: TradingPartner) -> InsuranceClaim:
    if not claim.control_number:
        claim.control_number = numbering.claim_number()
        claim.save(update_fields=["control_number"])
    original = claim.original.insurance_reference_number if claim.original else ""
    Submission.objects.create(
        claim=claim,
        partner=by,
        frequency=claim.frequency,
        original_reference=original,
        claim_control_number=claim.control_number,
    )
    return claim
