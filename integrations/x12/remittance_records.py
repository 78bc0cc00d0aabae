"""What an 835 says was paid and why, in frozen records; without it posting would have to know segments and elements.

As in `answer_records`: text as sent, money as Decimal, a record that holds a person prints as its type.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from integrations.x12.answer_records import hidden


class Adjustment(NamedTuple):
    """One triplet of a CAS: group "CO", "PR", "OA", "PI" (or "CR"), reason (CARC), amount and quantity as sent."""

    group: str
    reason: str
    amount: Decimal
    quantity: str


class RemittanceLine(NamedTuple):
    """SVC: one service of a claim as paid. position: 1 for the claim's first; segment: its place in the ST.

    original_*: SVC06, what we had billed where the payer changed it. control_number: REF*6R, ours.
    remarks: LQ*HE codes (RARC), all of them. amounts: AMT as (qualifier, amount), "B6" being the allowed amount.
    """

    position: int
    segment: int
    qualifier: str
    code: str
    modifiers: tuple[str, ...]
    charge: Decimal
    paid: Decimal
    revenue_code: str
    units: str
    original_qualifier: str
    original_code: str
    original_modifiers: tuple[str, ...]
    original_units: str
    service_from: date | None
    service_to: date | None
    control_number: str
    adjustments: tuple[Adjustment, ...]
    remarks: tuple[str, ...]
    amounts: tuple[tuple[str, Decimal], ...]


class RemittanceClaim(NamedTuple):
    """CLP: one claim as decided. position: 1 for the first of the ST; segment: its place in the ST.

    number: CLP01, ours. status: CLP02 ("22" is a reversal, its amounts are negative). payer_claim_number: CLP07.
    patient_responsibility: CLP05, zero where absent or not readable; information only, as `amounts`.
    adjustments: of the claim alone, those of its lines are in `lines`.
    last_name, first_name, member_id: of the patient (NM1*QC), the insured's member id where the patient has none.
    corrected_*: NM1*74, what the payer says the insured is called and its number.
    crossover_*: NM1*TT, the payer the claim was passed on to.
    remarks: MOA and MIA codes, all of them. amounts: AMT as (qualifier, amount). references: REF as (qualifier, value).
    """

    position: int
    segment: int
    number: str
    status: str
    charge: Decimal
    paid: Decimal
    patient_responsibility: Decimal
    filing_indicator: str
    payer_claim_number: str
    facility: str
    frequency: str
    adjustments: tuple[Adjustment, ...]
    last_name: str
    first_name: str
    member_id: str
    corrected_last_name: str
    corrected_first_name: str
    corrected_member_id: str
    rendering_npi: str
    crossover_name: str
    crossover_id: str
    service_from: date | None
    service_to: date | None
    received_on: date | None
    remarks: tuple[str, ...]
    amounts: tuple[tuple[str, Decimal], ...]
    references: tuple[tuple[str, str], ...]
    lines: tuple[RemittanceLine, ...]

    def __repr__(self) -> str:
        return hidden(self)


class ProviderAdjustment(NamedTuple):
    """One pair of a PLB: money to or from the provider that belongs to no claim. A positive amount lowers the payment.

    reason: "WO", "FB", "L6", "72"... reference: often the earlier claim. fiscal_on: the end of the fiscal year.
    """

    provider: str
    fiscal_on: date | None
    reason: str
    reference: str
    amount: Decimal


class Payment(NamedTuple):
    """What stands before the claims of an 835. amount: BPR02. direction: "C" to us, "D" from us.

    method: "ACH", "CHK", "FWT", "BOP", "NON". paid_on: BPR16. trace_number: TRN02, the bank's or check's number.
    payer_id: TRN03. payer_ids: N1*PR's own id and REFs as (qualifier, value). produced_on: DTM*405.
    payee_npi, payee_tax_id: of N1*PE and its REF*TJ.
    """

    handling: str
    amount: Decimal
    direction: str
    method: str
    paid_on: date | None
    trace_number: str
    payer_id: str
    produced_on: date | None
    payer_name: str
    payer_ids: tuple[tuple[str, str], ...]
    payee_name: str
    payee_npi: str
    payee_tax_id: str


class Remittance(NamedTuple):
    """An 835. Walk `claims` once, to the end: after that `provider_adjustments` is complete, not before."""

    payment: Payment
    claims: Iterator[RemittanceClaim]
    provider_adjustments: list[ProviderAdjustment]


class Imbalance(NamedTuple):
    """An equation of an 835 that does not hold. claim, line: positions from 1; 0 where it is about the whole.

    equation: the one that fails.
    "line": SVC02 - CAS = SVC03. "claim": CLP03 - CAS of claim and lines = CLP04. "charges": sum of SVC02 = CLP03.
    "payment": BPR02 = sum of CLP04 - PLB. "negative": BPR02 below zero. "reversal": a reversal with a positive charge.
    "direction": BPR03 takes the payment from us.
    off: the left side less the right side.
    """

    equation: str
    claim: int
    line: int
    off: Decimal
