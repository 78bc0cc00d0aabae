"""Queues claims as the desk would have; without it each test of their way out would repeat the steps before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from backend.apps.insurance import interchanges, numbering
from backend.apps.insurance.models import InsuranceClaim, Interchange, Submission, TradingPartner
from backend.apps.insurance.tests import factories
from tests.integrations.clearinghouse.submissions import Claim, submission


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


def stored_file(by: TradingPartner, **over: Any) -> Interchange:
    """Save a file with one claim, ready to go."""
    claim = queued_claim(by)
    numbers, at = numbering.take(by), timezone.now()
    content = submission(Claim(claim.control_number), number=numbers.interchange)
    file = interchanges.store(by, "837P", numbers, [content], at=at, items=1, transactions=1)
    Submission.objects.filter(claim=claim).update(status="batched", interchange=file, transaction_number="0001")
    Interchange.objects.filter(pk=file.pk).update(**{"due_at": at - timedelta(minutes=1), **over})
    file.refresh_from_db()
    return file


def again(file: Interchange) -> None:
    """Let a file be due, as if its wait or the lease of a dead worker were over."""
    past = timezone.now() - timedelta(hours=1)
    Interchange.objects.filter(pk=file.pk).update(due_at=past, leased_until=past)


def state(file: Interchange) -> tuple[str, str]:
    file.refresh_from_db()
    return file.status, file.work_state
