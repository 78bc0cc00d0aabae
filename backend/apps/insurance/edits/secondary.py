"""Edits of what an earlier payer decided: the next one pays only what adds up to the charge."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import (
    Batch,
    Claim,
    Line,
    LineAdjudication,
    On,
    OtherPayer,
    Severity,
    edit,
    is_day,
)

ERROR = Severity.ERROR
ORDER = "PST"
GROUPS = frozenset({"CO", "CR", "OA", "PI", "PR"})
MOST_REASON = 5


@edit("earlier-payer-missing", ERROR, On.CLAIM, "other_payers", "Another payer comes first; enter what it decided.")
def earlier_payer_missing(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim in batch.claims
        if claim.sequence != "P" and not any(other.paid and _is_before(other, claim) for other in claim.other_payers)
    ]


def _is_before(other: OtherPayer, claim: Claim) -> bool:
    return ORDER.find(other.sequence) < ORDER.find(claim.sequence)


@edit(
    "payers-out-of-order",
    ERROR,
    On.CLAIM,
    "other_payers",
    "Two payers stand at the same place; correct the priorities.",
)
def payers_out_of_order(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim in batch.claims
        if claim.other_payers
        and len({claim.sequence, *(other.sequence for other in claim.other_payers)}) <= len(claim.other_payers)
    ]


@edit("earlier-payer-name", ERROR, On.OTHER, "payer", "Enter name and number of the other payer.")
def earlier_payer_name(batch: Batch) -> Iterable[OtherPayer]:
    return [other for other in batch.others if not (other.payer_name and other.payer_identifier)]


@edit("earlier-holder", ERROR, On.OTHER, "subscriber", "Enter the holder's name and member number of the other policy.")
def earlier_holder(batch: Batch) -> Iterable[OtherPayer]:
    return [other for other in batch.others if not (other.holder_last and other.member_id)]


@edit(
    "adjustment-unknown",
    ERROR,
    On.OTHER,
    "adjustments",
    "An adjustment has a group (CO, PR, OA, PI, CR), a reason and an amount.",
)
def adjustment_unknown(batch: Batch) -> Iterable[OtherPayer]:
    return [other for other in batch.others if not all(map(_is_adjustment, other.adjustments))]


@edit(
    "line-adjustment-unknown",
    ERROR,
    On.LINE,
    "adjudications",
    "An adjustment has a group (CO, PR, OA, PI, CR), a reason and an amount.",
)
def line_adjustment_unknown(batch: Batch) -> Iterable[Line]:
    return [
        line
        for line in batch.lines
        if line.adjudications
        and not all(_is_adjustment(one) for said in line.adjudications for one in said.adjustments)
    ]


def _is_adjustment(one: tuple[str, str, str, str]) -> bool:
    group, reason, amount, _ = one
    return group in GROUPS and 0 < len(reason) <= MOST_REASON and _cents(amount) is not None


@edit(
    "earlier-line-balance",
    ERROR,
    On.LINE,
    "adjudications",
    "The charge is not what the other payer paid and took off; compare its notice.",
)
def earlier_line_balance(batch: Batch) -> Iterable[Line]:
    return [
        line
        for line in batch.lines
        if line.adjudications
        and not all(_balances(line.charge, said.paid, said.adjustments) for said in line.adjudications)
    ]


@edit(
    "earlier-claim-balance",
    ERROR,
    On.CLAIM,
    "other_payers",
    "The billed amount is not what the other payer paid and took off; compare its notice.",
)
def earlier_claim_balance(batch: Batch) -> Iterable[Claim]:
    """The claim's amount less what was paid and all that was taken off, at the claim and at its lines, is nothing."""
    return [
        claim
        for claim, other, lines in batch.decided
        if not _balances(
            claim.total, other.paid, [*other.adjustments, *(one for said in lines for one in said.adjustments)]
        )
    ]


@edit(
    "earlier-paid-not-sum",
    ERROR,
    On.CLAIM,
    "other_payers",
    "What the other payer paid is not the sum of its lines; compare its notice.",
)
def earlier_paid_not_sum(batch: Batch) -> Iterable[Claim]:
    return [claim for claim, other, lines in batch.decided if lines and not _is_sum(other, lines)]


@edit("earlier-day-missing", ERROR, On.CLAIM, "other_payers", "Enter the day on which the other payer decided.")
def earlier_day_missing(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim, other, lines in batch.decided
        if not is_day(other.adjudicated_on) and not any(is_day(said.adjudicated_on) for said in lines)
    ]


def _is_sum(other: OtherPayer, lines: list[LineAdjudication]) -> bool:
    """Return whether the claim's payment is that of its lines less what was taken off at the claim."""
    paid = [_cents(said.paid) for said in lines]
    off = [_cents(amount) for _, _, amount, _ in other.adjustments]
    told = _cents(other.paid)
    return None not in {told, *paid, *off} and told == sum(filter(None, paid)) - sum(filter(None, off))


def _balances(charge: str, paid: str, adjustments: Iterable[tuple[str, str, str, str]]) -> bool:
    amounts = [_cents(paid)]
    amounts += [_cents(one[2]) for one in adjustments]
    return None not in amounts and sum(amounts) == _cents(charge)  # type: ignore[arg-type]  # no None is left


@lru_cache(maxsize=50_000)
def _cents(text: str) -> int | None:
    try:
        return forms.cents(text)
    except ValueError:
        return None
