"""Edits of the payer's time limit: a claim that is a day late is lost money, whatever else is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backend.apps.insurance.edits.rules import FIRST_TIME, Batch, Claim, On, Severity, days_later, edit

ERROR, WARNING = Severity.ERROR, Severity.WARNING
SOON = 0.75  # of the window


@edit(
    "filing-late",
    ERROR,
    On.CLAIM,
    "service_date",
    "The payer's time for filing is over; give the reason of the delay, or write it off.",
)
def filing_late(batch: Batch) -> Iterable[Claim]:
    return [claim for claim, days in _clocked(batch) if batch.today > days_later(claim.service_on, days)]


@edit(
    "filing-soon-late",
    WARNING,
    On.CLAIM,
    "service_date",
    "Three quarters of the payer's time for filing are over; send this soon.",
)
def filing_soon_late(batch: Batch) -> Iterable[Claim]:
    today = batch.today
    return [
        claim
        for claim, days in _clocked(batch)
        if days_later(claim.service_on, int(days * SOON)) <= today <= days_later(claim.service_on, days)
    ]


def _clocked(batch: Batch) -> Iterator[tuple[Claim, int]]:
    """Yield the claims whose window runs from the day of service, and its days: the first time, to the first payer."""
    days = {plan.id: plan.filing_days for plan in batch.parts.plans.values() if plan.filing_days}
    for claim in batch.claims if days else ():
        if claim.plan in days and claim.frequency == FIRST_TIME and not claim.is_secondary and not claim.delay_reason:
            yield claim, days[claim.plan]
