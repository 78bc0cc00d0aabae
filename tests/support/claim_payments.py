"""Makes the 835 that pays given claims of ours; without it posting would be measured on claims nobody has sent."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count

from backend.apps.insurance.models import InsuranceClaim
from tests.support.remittances import envelope, money

KINDS = ("paid", "paid", "paid", "paid", "paid", "deductible", "denied", "crossover", "reversed")
STATUSES = {"denied": "1", "crossover": "19"}
HEAD = (
    "BPR*I*{paid}*C*ACH*CCP*01*999999992*DA*123456*1512345678**01*999988880*DA*98765*{day}",
    "TRN*1*{trace}*1512345678", "DTM*405*{day}", "N1*PR*SAMPLE PAYER", "N3*1 SAMPLE STREET",
    "N4*SAMPLETOWN*OH*432150001", "REF*2U*00123", "PER*BL*SAMPLE DESK*TE*8005550100",
    "N1*PE*SAMPLE CLINIC*XX*1234567893", "REF*TJ*123456789", "LX*1",
)  # fmt: skip
Paid = tuple[list[str], int]  # segments, cents


def remittance(rows: Sequence[InsuranceClaim], *, number: int, day: str, trace: str, seed: int = 1) -> bytes:
    """Return one ST that balances and decides each claim, of nine one twice: paid, taken back and decided anew.

    number: of the interchange. day: YYYYMMDD. trace: the number of the payment.
    """
    dice, places = random.Random(seed), count(1)
    body: list[str] = []
    paid = 0
    for row in rows:
        for segments, cents in _decided(dice, row, f"P{number:03}{next(places):09}"):
            body += segments
            paid += cents
    head = [part.format(paid=money(paid), day=day, trace=trace) for part in HEAD]
    return envelope([*head, *body], number)


def _decided(dice: random.Random, row: InsuranceClaim, reference: str) -> Iterator[Paid]:
    kind = dice.choice(KINDS)
    if kind == "reversed":
        shares = [dice.random() for _ in row.procedure_codes]
        yield _claim(row, reference, "1", [_line(row, place, share, 1) for place, share in enumerate(shares)])
        yield _claim(row, reference, "22", [_line(row, place, share, -1) for place, share in enumerate(shares)])
        kind = "paid"
    lines = [_line(row, place, _share(dice, kind), 1, is_denied=kind == "denied") for place in _places(row)]
    yield _claim(row, reference, STATUSES.get(kind, "1"), lines)


def _places(row: InsuranceClaim) -> range:
    return range(len(row.procedure_codes))


def _share(dice: random.Random, kind: str) -> float:
    """Return how much of what is allowed is paid; the patient owes the rest."""
    return 0.0 if kind in {"deductible", "denied"} else dice.uniform(0.5, 1.0)


Line = tuple[list[str], int, int, int]  # segments, and charge, payment and the patient's part in cents


def _line(row: InsuranceClaim, place: int, share: float, sign: int, *, is_denied: bool = False) -> Line:
    given = row.procedure_codes[place]
    charge = round(float(given["charge"]) * 100)
    allowed = 0 if is_denied else charge * 7 // 10
    paid = int(allowed * share)
    patient = allowed - paid
    code = ":".join(["HC", given["code"], *given["modifiers"]])
    parts = [
        f"SVC*{code}*{money(sign * charge)}*{money(sign * paid)}**{given['units']}",
        f"DTM*472*{row.service_date:%Y%m%d}",
        f"CAS*CO*{'16' if is_denied else '45'}*{money(sign * (charge - allowed))}",
        *([f"CAS*PR*{3 if paid else 1}*{money(sign * patient)}"] if patient else []),
        f"REF*6R*{row.control_number}L{place + 1}",
        *(["LQ*HE*M127"] if is_denied else [f"AMT*B6*{money(sign * allowed)}"]),
    ]
    return parts, sign * charge, sign * paid, sign * patient


def _claim(row: InsuranceClaim, reference: str, status: str, lines: Sequence[Line]) -> Paid:
    charge, paid, patient = (sum(line[at] for line in lines) for at in (1, 2, 3))
    owed = money(patient) if status != "22" else ""
    parts = [f"CLP*{row.control_number}*{status}*{money(charge)}*{money(paid)}*{owed}*12*{reference}*11*1"]
    parts.append("NM1*QC*1*DOE*SAMPLE****MI*M1")
    parts += ["NM1*TT*2*SECOND SAMPLE*****PI*54321"] if status == "19" else []
    return [*parts, *(part for line in lines for part in line[0])], paid
