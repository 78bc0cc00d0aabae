"""Writes claims of one line as payers decide them and has them posted; without it tests would add up their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Sum

from backend.apps.insurance.models import InboundFile, InsuranceClaim, Posting, TradingPartner
from backend.apps.insurance.tests.factories import line
from tests.workers.claims.answers import content, paid_claim, receive, remittance, sent_one


def one_line(claim: InsuranceClaim, paid: str, *cas: str, charge: str = "150") -> str:
    """Return a claim's only line as written, its adjustments behind it."""
    return "|".join([f"SVC*HC:99213*{charge}*{paid}**1", *cas, f"REF*6R*{claim.control_number}L1"])


def told(claim: InsuranceClaim, paid: str, *cas: str, status: str = "1", charge: str = "150", **more: Any) -> list[str]:
    """Return a claim of one line in an 835."""
    lines = one_line(claim, paid, *cas, charge=charge).split("|")
    return paid_claim(claim, *lines, status=status, charge=charge, paid=paid, patient="0", **more)


def single(partner: TradingPartner, **over: Any) -> InsuranceClaim:
    claim, _ = sent_one(partner, procedure_codes=[line("150.00")], **over)
    return claim


def post(partner: TradingPartner, *claims: list[str], paid: str, **more: str) -> InboundFile:
    return receive(partner, content(remittance(*claims, paid=paid, **more)))


def sums(claim: InsuranceClaim) -> dict[str, Decimal]:
    rows = Posting.objects.filter(claim=claim).values("kind").order_by().annotate(total=Sum("amount"))
    return {row["kind"]: row["total"] for row in rows}


def state(claim: InsuranceClaim) -> tuple[str, Decimal | None, Decimal | None, Decimal | None]:
    claim.refresh_from_db()
    return claim.status, claim.paid_amount, claim.allowed_amount, claim.patient_responsibility
