"""Edits of what an earlier payer decided: the next one pays only what adds up to the charge."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import (
    Batch,
    Claim,
    Line,
    On,
    OtherPayer,
    Severity,
    edit,
    is_day,
    sum_of,
    total,
)
from backend.apps.insurance.facts import UNREADABLE, Adjustment

ERROR = Severity.ERROR
ORDER = "PST"
GROUPS = frozenset({"CO", "CR", "OA", "PI", "PR"})
MOST_REASON = 5


@edit("earlier-payer-missing", ERROR, On.CLAIM, "other_payers", "Another payer comes first; enter what it decided.")
def earlier_payer_missing(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim in batch.claims_with("sequence", lambda one: one != "P")
        if not any(other.paid and _is_before(other, claim) for other in claim.other_payers)
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


@edit(
    "earlier-member-id-unreadable",
    ERROR,
    On.OTHER,
    "subscriber.member_id",
    "The other policy's number does not open; whoever runs this was told. Enter it anew, or wait.",
)
def earlier_member_id_unreadable(batch: Batch) -> Iterable[OtherPayer]:
    return [other for other in batch.others if other.member_id == UNREADABLE]


@edit(
    "earlier-text-not-writable",
    ERROR,
    On.OTHER,
    "subscriber",
    "A number of the other policy, its payer or its claim holds a sign that no file can carry.",
)
def earlier_text_not_writable(batch: Batch) -> Iterable[OtherPayer]:
    numbers = [
        (other.member_id.strip(UNREADABLE), other.group_number, other.payer_identifier, other.reference)
        for other in batch.others
    ]
    if forms.is_writable("".join(map("".join, numbers))):
        return ()
    return [other for other, own in zip(batch.others, numbers, strict=True) if not all(map(forms.is_writable, own))]


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
    return [line for line, said, _, _ in batch.decisions if not all(map(_is_adjustment, said.adjustments))]


def _is_adjustment(one: Adjustment) -> bool:
    group, reason, amount, _ = one
    return group in GROUPS and 0 < len(reason) <= MOST_REASON and forms.cents(amount) is not None


@edit(
    "earlier-line-balance",
    ERROR,
    On.LINE,
    "adjudications",
    "The charge is not what the other payer paid and took off; compare its notice.",
)
def earlier_line_balance(batch: Batch) -> Iterable[Line]:
    return [line for line, _, paid, off in batch.decisions if not _balances(forms.charge(line.charge), paid, off)]


@edit(
    "earlier-claim-balance",
    ERROR,
    On.CLAIM,
    "other_payers",
    "The billed amount is not what the other payer paid and took off; compare its notice.",
)
def earlier_claim_balance(batch: Batch) -> Iterable[Claim]:
    """The claim's amount less what was paid and all that was taken off, at the claim and at its lines, is nothing."""
    off = {id(said): taken for _, said, _, taken in batch.decisions}
    return [
        claim
        for claim, other, lines in batch.decided
        if not _balances(
            forms.cents(claim.total),
            forms.cents(other.paid),
            sum_of([total(other.adjustments), *(off[id(said)] for said in lines)]),
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
    """What was paid for the claim is what was paid for its lines less what was taken off at the claim."""
    paid = {id(said): amount for _, said, amount, _ in batch.decisions}
    return [
        claim
        for claim, other, lines in batch.decided
        if lines
        and not _balances(sum_of([paid[id(said)] for said in lines]), forms.cents(other.paid), total(other.adjustments))
    ]


@edit("earlier-day-missing", ERROR, On.CLAIM, "other_payers", "Enter the day on which the other payer decided.")
def earlier_day_missing(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim, other, lines in batch.decided
        if not is_day(other.adjudicated_on) and not any(is_day(said.adjudicated_on) for said in lines)
    ]


def _balances(charge: int | None, paid: int | None, off: int | None) -> bool:
    return charge is not None and paid is not None and off is not None and charge == paid + off
