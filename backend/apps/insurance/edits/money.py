"""Edits of amounts: a claim whose lines do not add up is refused by everybody."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import Batch, Claim, Line, On, Severity, edit

ERROR, WARNING = Severity.ERROR, Severity.WARNING
NOTHING = "0.00"  # amounts of PostgreSQL's compare with it as text


@edit("charge-form", ERROR, On.LINE, "charge", "Enter the charge with two decimals, below 100 million.")
def charge_form(batch: Batch) -> Iterable[Line]:
    if None not in batch.charges:
        return ()
    return [line for line, cents in zip(batch.lines, batch.charges, strict=True) if cents is None]


@edit("charge-not-positive", WARNING, On.LINE, "charge", "This service costs nothing; check that it is meant.")
def charge_not_positive(batch: Batch) -> Iterable[Line]:
    """Codes of category II and vaccines that are free stand beside lines that cost something."""
    if None not in batch.charges and 0 not in batch.charges:
        return ()
    return [line for line in batch.lines if line.charge <= NOTHING]


@edit("total-not-positive", ERROR, On.CLAIM, "billed_amount", "A claim of nothing is refused; enter the charges.")
def total_not_positive(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("total", lambda amount: amount <= NOTHING)


@edit(
    "total-not-sum",
    ERROR,
    On.CLAIM,
    "billed_amount",
    "The billed amount is not the sum of the lines; save the claim again.",
)
def total_not_sum(batch: Batch) -> Iterable[Claim]:
    """Compare by sums that run over all lines of the batch; a charge that is none counts for nothing."""
    running = [0, *accumulate([cents or 0 for cents in batch.charges])]
    ends = [0, *accumulate(map(len, batch.of_claims["lines"]))]
    sums = [running[last] - running[first] for first, last in pairwise(ends)]
    totals = forms.charges(batch.of_claims["total"])
    if sums == totals:
        return ()
    return [claim for claim, one, other in zip(batch.claims, sums, totals, strict=True) if claim.lines and one != other]


@edit("patient-paid-too-much", ERROR, On.CLAIM, "patient_paid", "The patient cannot have paid more than was billed.")
def patient_paid_too_much(batch: Batch) -> Iterable[Claim]:
    paid = [claim for claim in batch.claims if claim.patient_paid] if any(batch.of_claims["patient_paid"]) else ()
    return [
        claim for claim in paid if not 0 <= (forms.cents(claim.patient_paid) or 0) <= (forms.cents(claim.total) or 0)
    ]
