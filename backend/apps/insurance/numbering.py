"""Gives out numbers that must never come twice; without it a clearinghouse would refuse files as sent before."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from django.db import transaction
from django.db.models import F

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance.models import ControlNumber, TradingPartner
from backend.apps.insurance.models.partners import NUMBER_MOST

CLAIM_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLAIM_LENGTH = 17  # HIPAA allows 20 in CLM01; some payers give back 17 (issues of 277CA), line numbers need a few


class Numbers(NamedTuple):
    """Number one of `count` that follow each other: ISA13 and GS06."""

    interchange: int
    group: int


@transaction.atomic
def take(partner: TradingPartner, count: int = 1) -> Numbers:
    """Return the next numbers of a partner, locked until the caller's transaction ends; gaps are harmless."""
    kinds = ControlNumber.Kind
    ControlNumber.objects.bulk_create(
        [ControlNumber(partner=partner, kind=kind) for kind in kinds], ignore_conflicts=True
    )
    rows = ControlNumber.objects.select_for_update().filter(partner=partner).order_by("kind")  # one order: no deadlock
    last = {row.kind: row.last for row in rows}
    if max(last.values()) + count > NUMBER_MOST:
        raise DomainError("All control numbers of this partner are used up; agree on a new identifier with it.")
    ControlNumber.objects.filter(partner=partner).update(last=F("last") + count)
    return Numbers(last[kinds.INTERCHANGE] + 1, last[kinds.GROUP] + 1)


def give_back(partner: TradingPartner, numbers: Numbers) -> None:
    """Free the last numbers taken in this transaction, so that no gap looks like a lost file."""
    taken = {ControlNumber.Kind.INTERCHANGE: numbers.interchange, ControlNumber.Kind.GROUP: numbers.group}
    for kind, number in taken.items():
        ControlNumber.objects.filter(partner=partner, kind=kind, last=number).update(last=number - 1)


def claim_number() -> str:
    """Return a new CLM01: at random, so that it tells nothing and no two practices meet."""
    return "".join(secrets.choice(CLAIM_DIGITS) for _ in range(CLAIM_LENGTH))


def claim_numbers(count: int) -> list[str]:
    """Return many, for a fraction of the price of each."""
    size = len(CLAIM_DIGITS)
    letters = "".join(CLAIM_DIGITS[byte % size] for byte in secrets.token_bytes(2 * count * CLAIM_LENGTH) if byte < 252)
    short = count * CLAIM_LENGTH - len(letters)
    letters += "".join(secrets.choice(CLAIM_DIGITS) for _ in range(max(short, 0)))
    return [letters[place : place + CLAIM_LENGTH] for place in range(0, count * CLAIM_LENGTH, CLAIM_LENGTH)]
