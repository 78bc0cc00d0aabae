"""Adjudicates claims and writes the 835; without it no test could see money arrive.

The rules are invented and simple: four fifths of each charge are allowed, the rest is contractual (CO-45); of the first
line 5.00 are the deductible (PR-1), 20.00 the copay (PR-3), and a tenth of what is left is coinsurance (PR-2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from integrations.x12.counterpart.acknowledging import money, payer_number
from integrations.x12.counterpart.contents import SeenClaim, SeenLine
from integrations.x12.counterpart.layout import Segment, Sheet, Stamp

REMITTANCE = "005010X221A1"
CENT, NOTHING = Decimal("0.01"), Decimal(0)
DEDUCTIBLE, COPAY = Decimal("5.00"), Decimal("20.00")
PRIMARY, SECONDARY, CROSSED_OVER, REVERSAL = "1", "2", "19", "22"
CORRECTED_SHARE, USUAL_SHARE = Decimal("0.9"), Decimal("0.8")  # of the charge, allowed
PPO = "12"  # CLP06
COMPANY = "1512345678"  # TRN03 and BPR10 of every payer here

NEXT_PAYER: Segment = ("NM1", "TT", "2", "NEXT HEALTH", "", "", "", "", "PI", "60099")

Adjustment = tuple[str, str, Decimal]  # group, reason, amount


@dataclass(frozen=True, slots=True)
class PaidLine:
    line: SeenLine
    adjustments: tuple[Adjustment, ...]
    sign: int = 1

    @property
    def charge(self) -> Decimal:
        return self.sign * self.line.charge

    @property
    def paid(self) -> Decimal:
        return self.charge - sum((amount for _, _, amount in self.adjustments), NOTHING)


@dataclass(frozen=True, slots=True)
class PaidClaim:
    """One CLP. A reversal is the same claim with every sign turned."""

    claim: SeenClaim
    status: str
    payer_number: str
    lines: tuple[PaidLine, ...]

    @property
    def charge(self) -> Decimal:
        return sum((line.charge for line in self.lines), NOTHING)

    @property
    def paid(self) -> Decimal:
        return sum((line.paid for line in self.lines), NOTHING)

    @property
    def patient_owes(self) -> Decimal:
        owed = (amount for line in self.lines for group, _, amount in line.adjustments if group == "PR")
        return sum(owed, NOTHING)

    def reversed(self) -> PaidClaim:
        lines = (replace(line, sign=-line.sign, adjustments=_turned(line.adjustments)) for line in self.lines)
        return replace(self, status=REVERSAL, lines=tuple(lines))


def pay(claim: SeenClaim, *, crosses_over: bool = False) -> PaidClaim:
    """Return the claim with its shares. crosses_over: this payer sends it on to the next one itself."""
    status = CROSSED_OVER if crosses_over else SECONDARY if claim.sequence == "S" else PRIMARY
    return PaidClaim(claim, status, payer_number(claim), _shared_out(claim, USUAL_SHARE))


def deny(claim: SeenClaim, reason: str) -> PaidClaim:
    """Return the claim with nothing paid; reason: as "CO-16"."""
    group, code = reason.split("-")
    lines = tuple(PaidLine(line, ((group, code, line.charge),)) for line in claim.lines)
    return PaidClaim(claim, PRIMARY, payer_number(claim), lines)


def correct(paid: PaidClaim) -> list[PaidClaim]:
    """Return a claim's reversal and its correction, which allows more and has a number of its own."""
    better = _shared_out(paid.claim, CORRECTED_SHARE)
    return [paid.reversed(), replace(paid, lines=better, payer_number=f"{paid.payer_number}C")]


def remittance(
    stamp: Stamp, place: int, paid: Sequence[PaidClaim], provider_adjustments: Sequence[Adjustment]
) -> Sheet:
    """Return the 835 of one payer to one provider.

    provider_adjustments: PLB reason, reference, amount; a positive one lowers the payment, and what it lowers below
    zero is carried forward (FB). Source: 005010X221A1, 1.10.2.1 and 1.10.2.12.
    """
    first = paid[0].claim
    name, npi, tax_number = first.provider
    total = sum((one.paid for one in paid), NOTHING) - sum((amount for _, _, amount in provider_adjustments), NOTHING)
    adjusted = list(provider_adjustments)
    trace = f"{stamp.number:09d}{place:02d}"
    if total < 0:
        adjusted.append(("FB", trace, total))
        total = NOTHING
    segments: list[Segment] = [
        *_payment(stamp, total, trace),
        ("DTM", "405", stamp.day),
        *_parties(first.payer, name, npi, tax_number),
        ("LX", "1"),
        *(segment for one in paid for segment in _claim(one, stamp.day)),
    ]
    if adjusted:
        pairs = [part for reason, reference, amount in adjusted for part in ((reason, reference), money(amount))]
        segments.append(("PLB", npi, f"{stamp.at.year}1231", *pairs))
    return Sheet("HP", "835", REMITTANCE, segments, names_version=False)


def _shared_out(claim: SeenClaim, share: Decimal) -> tuple[PaidLine, ...]:
    return tuple(
        PaidLine(line, tuple(_adjustments(line.charge, share, is_first=number == 0)))
        for number, line in enumerate(claim.lines)
    )


def _adjustments(charge: Decimal, share: Decimal, *, is_first: bool) -> list[Adjustment]:
    left = (charge * share).quantize(CENT)
    found: list[Adjustment] = [("CO", "45", charge - left)]
    for reason, most in (("1", DEDUCTIBLE), ("3", COPAY)) if is_first else ():
        found.append(("PR", reason, min(most, left)))
        left -= min(most, left)
    found.append(("PR", "2", (left / 10).quantize(CENT)))
    return [one for one in found if one[2]]


def _turned(adjustments: tuple[Adjustment, ...]) -> tuple[Adjustment, ...]:
    return tuple((group, reason, -amount) for group, reason, amount in adjustments)


def _payment(stamp: Stamp, total: Decimal, trace: str) -> list[Segment]:
    bank = ("01", "999999992", "DA", "123456", COMPANY, "", "01", "999988880", "DA", "98765")
    if total:
        how: Segment = ("BPR", "I", money(total), "C", "ACH", "CCP", *bank, stamp.day)
    else:
        how = ("BPR", "H", "0", "C", "NON", *[""] * 11, stamp.day)
    return [how, ("TRN", "1", trace, COMPANY)]


def _parties(payer: tuple[str, str], name: str, npi: str, tax_number: str) -> list[Segment]:
    told: list[Segment] = [
        *(("N1", "PR", payer[0]), ("N3", "1 PAYER PLAZA"), ("N4", "AUSTIN", "TX", "787010000")),
        *(("REF", "2U", payer[1]), ("PER", "BL", "PAYER TECHNICAL LINE", "TE", "5125550100")),
        ("N1", "PE", name, "XX", npi),
    ]
    return [*told, ("REF", "TJ", tax_number)] if tax_number else told


def _claim(one: PaidClaim, day: str) -> list[Segment]:
    claim, (last, first) = one.claim, one.claim.patient
    owed = money(one.patient_owes) if one.patient_owes > 0 else ""
    told: list[Segment] = [
        (
            *("CLP", claim.number, one.status, money(one.charge), money(one.paid), owed, PPO, one.payer_number),
            *(claim.place, claim.frequency),
        ),
        ("NM1", "QC", "1", last, first, "", "", "", "MI", claim.member_id),
        *([NEXT_PAYER] if one.status == CROSSED_OVER else []),
        ("DTM", "050", day),
    ]
    for line in one.lines:
        told += _line(line)
    return told


def _line(paid: PaidLine) -> list[Segment]:
    line = paid.line
    told: list[Segment] = [("SVC", line.procedure, money(paid.charge), money(paid.paid), "", line.units)]
    if line.date:
        told.append(("DTM", "472", line.date))
    for group in ("CO", "PR", "OA", "PI"):
        some = [(reason, money(amount), "") for kind, reason, amount in paid.adjustments if kind == group]
        if some:
            told.append(("CAS", group, *[part for triplet in some for part in triplet]))
    if line.control_number:
        told.append(("REF", "6R", line.control_number))
    allowed = paid.charge - sum((amount for kind, _, amount in paid.adjustments if kind != "PR"), NOTHING)
    if allowed > 0:
        told.append(("AMT", "B6", money(allowed)))
    return told
