"""Makes 835s that balance, of any size, the same ones for the same seed; without it posting would be tested on a few.

The people in it are samples. What it makes is held against oxedi in tests/integrations/x12.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

ISA = "ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*{receiver:<15}*261126*0515*^*00501*{number:09d}*0*T*:"
CODES = ("99213", "99214", "99396", "87880", "90471", "36415")
KINDS = ("paid", "paid", "paid", "deductible", "denied", "claim_level", "bundled", "crossover", "reversal")


class Facts(NamedTuple):
    """What a generated 835 says: claims by CLP01 in order, cents paid in all, and cents of the PLB."""

    content: bytes
    numbers: tuple[str, ...]
    paid: int
    provider_adjustments: int


class Subject(NamedTuple):
    """The claim that is decided: which one, and its CLP01."""

    index: int
    number: str


def random_835(
    n: int, seed: int = 1, *, number: int = 1, claims: Sequence[str] = (), kinds: Sequence[str] = KINDS
) -> bytes:
    """Return an 835 of n claims, one ST, that balances. number: of the interchange and of the payment.

    claims: the CLP01s to use, one after the other (a reversal and its correction share one); our own where there are
    none. A line's REF*6R is its claim's number and a letter. kinds: what may happen to a claim.
    """
    return random_facts(n, seed, number=number, claims=claims, kinds=kinds).content


def random_facts(
    n: int, seed: int = 1, *, number: int = 1, claims: Sequence[str] = (), kinds: Sequence[str] = KINDS
) -> Facts:
    """Return the same 835 as `random_835` with what it says."""
    rng = random.Random(seed)
    body: list[str] = []
    numbers: list[str] = []
    paid = 0
    for index in count():
        if len(numbers) >= n:
            break
        facts = Subject(index, claims[index] if claims else number_of(index))
        for segments, cents in _decided(rng, facts, rng.choice(kinds))[: n - len(numbers)]:
            body += segments
            paid += cents
            numbers.append(facts.number)
    plb = min(1234, paid)  # a payment is never below nothing: what is missing is carried forward
    head = [*_head(paid - plb, number), "LX*1"]
    tail = [f"PLB*1234567893*20261231*{'WO' if plb >= 0 else 'FB'}:SAMPLE{number}*{money(plb)}"] if plb else []
    return Facts(envelope([*head, *body, *tail], number), tuple(numbers), paid, plb)


def money(cents: int) -> str:
    """Return cents as X12 writes money: no zeros at the end of the decimals."""
    sign, cents = "-" if cents < 0 else "", abs(cents)
    text = f"{sign}{cents // 100}.{cents % 100:02d}"
    return text.rstrip("0").rstrip(".")


def envelope(segments: list[str], number: int = 1, *, kind: str = "835", version: str = "005010X221A1") -> bytes:
    """Return segments between ST and SE, in a group and an interchange of their own."""
    functional = {"835": "HP", "999": "FA", "277": "HN", "271": "HB"}[kind]
    whole = [
        ISA.format(sender="SAMPLEPAYER", receiver="SAMPLECLINIC", number=number),
        f"GS*{functional}*SAMPLEPAYER*SAMPLECLINIC*20261126*0515*{number}*X*{version}",
        f"ST*{kind}*0001" + (f"*{version}" if kind != "835" else ""),
        *segments,
        f"SE*{len(segments) + 2}*0001",
        f"GE*1*{number}",
        f"IEA*1*{number:09d}",
    ]
    return "".join(f"{segment}~" for segment in whole).encode()


def _head(cents: int, number: int) -> Iterator[str]:
    method = "ACH*CCP*01*999999992*DA*123456*1512345678**01*999988880*DA*98765" if cents else "NON***********"
    yield f"BPR*{'I' if cents else 'H'}*{money(cents)}*C*{method}*20261126"
    yield f"TRN*1*SAMPLE{number:09d}*1512345678"
    yield "DTM*405*20261125"
    yield "N1*PR*SAMPLE PAYER"
    yield from ("N3*1 SAMPLE STREET", "N4*SAMPLETOWN*OH*432150001", "REF*2U*00123")
    yield "PER*BL*SAMPLE DESK*TE*8005550100"
    yield "N1*PE*SAMPLE CLINIC*XX*1234567893"
    yield "REF*TJ*123456789"


def _decided(rng: random.Random, subject: Subject, kind: str) -> list[tuple[list[str], int]]:
    return _reversal(rng, subject) if kind == "reversal" else [_claim(rng, subject, kind)]


def _claim(rng: random.Random, subject: Subject, kind: str) -> tuple[list[str], int]:
    """Return the segments of a claim, and the cents it pays."""
    lines = [_line(rng, subject, place, kind) for place in range(rng.choice((1, 1, 2, 3)))]
    charge = sum(line[1] for line in lines)
    paid = sum(line[2] for line in lines)
    patient = sum(line[3] for line in lines)
    off = rng.randrange(paid) if kind == "claim_level" else 0
    status = {"denied": "4", "crossover": "19"}.get(kind, "1")
    amounts = f"{money(charge)}*{money(paid - off)}*{money(patient)}"
    clp = f"CLP*{subject.number}*{status}*{amounts}*12*P{subject.index:09d}*11*1"
    names = [f"NM1*QC*1*DOE*SAMPLE{subject.index % 7}****MI*M{subject.index:08d}"]
    if kind == "crossover":
        names.append("NM1*TT*2*SECOND SAMPLE*****PI*54321")
    adjusted = [f"CAS*CO*253*{money(off)}"] if off else []
    remarks = ["MOA***MA01*MA07"] if subject.index % 5 == 0 else []
    return [clp, *adjusted, *names, *remarks, *(part for line in lines for part in line[0])], paid - off


def _line(rng: random.Random, subject: Subject, place: int, kind: str) -> tuple[list[str], int, int, int]:
    """Return the segments of a line, and its charge, payment and patient's part in cents."""
    code, charge = rng.choice(CODES), rng.randrange(4000, 60000)
    contract = rng.randrange(charge // 2)
    patient = charge - contract if kind == "deductible" else rng.randrange(charge - contract)
    paid = charge - contract - patient
    adjustments = [f"CAS*CO*45*{money(contract)}"] if contract else []
    adjustments += [f"CAS*PR*{1 if kind == 'deductible' else 3}*{money(patient)}"] if patient else []
    if kind == "denied":
        adjustments, patient, paid = [f"CAS*CO*16*{money(charge)}"], 0, 0
    original = "*HC:99203*1" if kind == "bundled" else ""
    svc = f"SVC*HC:{code}:25*{money(charge)}*{money(paid)}**1{original}"
    segments = [
        svc,
        f"DTM*472*202610{subject.index % 28 + 1:02d}",
        *adjustments,
        f"REF*6R*{subject.number}{chr(65 + place)}",
    ]
    if kind == "denied":
        segments.append("LQ*HE*M127")
    else:
        segments.append(f"AMT*B6*{money(charge - contract)}")
    return segments, charge, paid, patient


def _reversal(rng: random.Random, subject: Subject) -> list[tuple[list[str], int]]:
    """Return a payment taken back, all amounts negative, and its correction."""
    charge, contract = rng.randrange(4000, 60000), rng.randrange(1, 4000)
    paid = charge - contract
    taken = [
        f"CLP*{subject.number}*22*{money(-charge)}*{money(-paid)}**12*P{subject.index:09d}*11*1",
        f"NM1*QC*1*DOE*SAMPLE{subject.index % 7}****MI*M{subject.index:08d}",
        f"SVC*HC:99213*{money(-charge)}*{money(-paid)}",
        "DTM*472*20261001",
        f"CAS*CO*45*{money(-contract)}",
    ]
    return [(taken, -paid), _claim(rng, subject, "paid")]


def number_of(index: int) -> str:
    """Return the CLP01 of a generated claim: 17 signs."""
    return f"S{index:016d}"
