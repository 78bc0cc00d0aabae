"""Edits of the payer's time limit: a claim that is a day late is lost money, whatever else is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from backend.apps.insurance.edits.rules import FIRST_TIME, Batch, Claim, On, Severity, days_later, edit, is_day

ERROR, WARNING = Severity.ERROR, Severity.WARNING
SOON = 0.75  # of the window


@edit(
    "filing-late",
    ERROR,
    On.CLAIM,
    "service_date",
    "The payer's time for filing is over; give the reason of the delay, or write it off.",
    of_voids=False,
)
def filing_late(batch: Batch) -> Iterable[Claim]:
    today = batch.today
    return _clocked(batch, lambda day, days: today > days_later(day, days))


@edit(
    "filing-soon-late",
    WARNING,
    On.CLAIM,
    "service_date",
    "Three quarters of the payer's time for filing are over; send this soon.",
    of_voids=False,
)
def filing_soon_late(batch: Batch) -> Iterable[Claim]:
    today = batch.today
    return _clocked(batch, lambda day, days: days_later(day, int(days * SOON)) <= today <= days_later(day, days))


def _clocked(batch: Batch, is_late: Callable[[str, int], bool]) -> list[Claim]:
    """Return the late ones of those whose window runs: the first time, to the first payer.

    is_late: of the first day of the lines and the days of the window.
    """
    plans = batch.parts.plans
    asked = set(zip(batch.of_claims["plan"], batch.first_days, strict=True))
    late = {
        (plan, day)
        for plan, day in asked
        if plan in plans and (days := plans[plan].filing_days) and is_day(day) and is_late(day, days)
    }
    return [
        claim
        for claim, day in (zip(batch.claims, batch.first_days, strict=True) if late else ())
        if (claim.plan, day) in late
        and claim.frequency == FIRST_TIME
        and not claim.is_secondary
        and not claim.delay_reason
    ]
