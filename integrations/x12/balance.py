"""Holds an 835 against its own sums; without it a cent lost on the way would be posted.

A remittance is posted only when nothing is found here. CLP05 and AMT are information and are not summed.

Source: ASC X12N/005010X221A1, section 1.10.2.1 (balancing: service line, claim, transaction).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from integrations.x12.remittance_records import Imbalance, Payment, ProviderAdjustment, Remittance, RemittanceClaim

NOTHING = Decimal(0)
REVERSAL = "22"
DEBIT = "D"


def check(remittance: Remittance) -> list[Imbalance]:
    """Walk the claims and return every equation that fails, in the file's order; empty when all hold."""
    sheet = Sheet()
    for claim in remittance.claims:
        sheet.add(claim)
    return sheet.close(remittance.payment, remittance.provider_adjustments)


def watched(claims: Iterable[RemittanceClaim], sheet: Sheet) -> Iterator[RemittanceClaim]:
    """Pass claims on while the sheet sums them, for who uses them in the same walk."""
    for claim in claims:
        sheet.add(claim)
        yield claim


class Sheet:
    """The sums so far."""

    def __init__(self) -> None:
        self.found: list[Imbalance] = []
        self.paid = NOTHING

    def add(self, claim: RemittanceClaim) -> None:
        """Check one claim and its lines."""
        self.paid += claim.paid
        left = claim.charge - claim.paid
        for adjustment in claim.adjustments:
            left -= adjustment.amount
        if claim.lines:
            charged, adjusted = self._lines(claim)
            left -= adjusted
            if charged != claim.charge:
                self.found.append(Imbalance("charges", claim.position, 0, charged - claim.charge))
        if left:
            self.found.append(Imbalance("claim", claim.position, 0, left))
        if claim.status == REVERSAL and claim.charge > 0:
            self.found.append(Imbalance("reversal", claim.position, 0, claim.charge))

    def _lines(self, claim: RemittanceClaim) -> tuple[Decimal, Decimal]:
        """Check the lines; return what they charge and what was taken off them."""
        charged = adjusted = NOTHING
        for line in claim.lines:
            taken = NOTHING
            for adjustment in line.adjustments:
                taken += adjustment.amount
            charged += line.charge
            adjusted += taken
            if line.charge - taken != line.paid:
                off = line.charge - taken - line.paid
                self.found.append(Imbalance("line", claim.position, line.position, off))
        return charged, adjusted

    def close(self, payment: Payment, provider_adjustments: Iterable[ProviderAdjustment]) -> list[Imbalance]:
        """Check the payment against all that was added; return everything found."""
        due = self.paid - sum((plb.amount for plb in provider_adjustments), NOTHING)
        if payment.amount != due:
            self.found.append(Imbalance("payment", 0, 0, payment.amount - due))
        if payment.direction == DEBIT and payment.amount:
            self.found.append(Imbalance("direction", 0, 0, payment.amount))
        if payment.amount < 0:
            self.found.append(Imbalance("negative", 0, 0, payment.amount))
        return self.found
