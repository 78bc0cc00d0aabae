"""Makes claims of all kinds out of thin air; without it tests and benchmarks would each invent their own patients.

Everything is drawn from a seed. People are called DOE, SAMPLE or TESTER; numbers count up. X12 allows more than one
of the readers that tests ask understands: so nobody's sex is U, and no line carries the decisions of two payers.
"""

from __future__ import annotations

import random
from datetime import datetime
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

from integrations.x12.claim_records import (
    Billing,
    Claim,
    Envelope,
    Facility,
    Line,
    LineAdjudication,
    OtherPayer,
    Parts,
    Payer,
    Provider,
    Receiver,
    Submitter,
)

ZONE = ZoneInfo("America/Chicago")
ENVELOPE = Envelope(
    "ZZ", "CLINIC01", "ZZ", "CLEARHOUSE01", "CLINIC01", "CLEARHOUSE01", "T", True, 7, 7,
    datetime(2026, 11, 5, 12, 0, tzinfo=ZONE),
)  # fmt: skip
SUBMITTER = Submitter("SAMPLE CLINIC LLC", "CLINIC01", "BILLING OFFICE", "5125550100")
RECEIVER = Receiver("SAMPLE CLEARINGHOUSE", "CLEARHOUSE01")
FIRST = ["JOHN", "MARY", "JANE", "PETER", "ALICE", "OMAR", "LI", "ANA"]
LAST = ["DOE", "SAMPLE", "TESTER", "DOE-SAMPLE", "O'DOE"]
DIAGNOSES = ["E119", "I10", "M545", "J069", "Z0000", "F411", "R51", "N390"]
CODES = ["99213", "99214", "85025", "80053", "93000", "36415", "99203", "90471"]
CITIES = [("AUSTIN", "TX", "787021234"), ("DALLAS", "TX", "75201"), ("TULSA", "OK", "74103")]
KINDS = (
    "self", "self", "self", "self", "dependent", "dependent", "secondary", "tertiary", "claim level", "replacement",
    "void", "drug", "telehealth", "accident", "people", "rich",
)  # fmt: skip


def npi(number: int) -> str:
    """Return a National Provider Identifier with its check digit (Luhn over 80840 and nine digits)."""
    digits = [int(sign) for sign in f"80840{number:09}"]
    total = sum(sum(divmod(digit * 2, 10)) if at % 2 == 0 else digit for at, digit in enumerate(reversed(digits)))
    return f"{number:09}{-total % 10}"


PARTS = Parts(
    billing={
        "b1": Billing(
            "b1", name="SAMPLE CLINIC LLC", npi=npi(123456789), taxonomy="207Q00000X", tax_id="741234567",
            line1="100 MAIN ST", city="AUSTIN", state="TX", postal_code="787011234",
            pay_to_line1="PO BOX 10", pay_to_city="AUSTIN", pay_to_state="TX", pay_to_postal_code="787670010",
            contact_name="DESK", contact_phone="5125550101",
        ),
        "b2": Billing(
            "b2", is_person=True, last_name="TESTER", first_name="TESS", npi=npi(198765400), tax_id="123456789",
            tax_id_type="SY", line1="5 ELM ST", line2="STE 2", city="TULSA", state="OK", postal_code="741031234",
        ),
    },
    payers={
        f"p{number}": Payer(
            f"p{number}", f"SAMPLE HEALTH {number}", f"6005{number}",
            *(("1 PAYER WAY", "", "DALLAS", "TX", "752011234") if number % 2 else ("",) * 5),
            secondary=(("G2", "PROV1"), ("2U", f"00{number}")) if number == 3 else (),
        )
        for number in range(1, 7)
    },
    providers={
        f"d{number}": Provider(
            f"d{number}", "TESTER", f"DOC{'ABCDEFG'[number % 7]}", npi(190000000 + number), "207R00000X"
        )
        for number in range(30)
    }
    | {"d99": Provider("d99", "TESTER", "TESS", npi(198765400), "207Q00000X")},
    facilities={
        "f0": Facility("f0", "SAMPLE CLINIC", npi(123456700), "100 Main St", "", "Austin", "TX", "78701"),
        "f1": Facility("f1", "SAMPLE ANNEX", npi(123456701), "7 SIDE ST", "FLOOR 2", "AUSTIN", "TX", "787031234"),
        "f2": Facility("f2", "SAMPLE VAN", "", "9 LOT RD", "", "AUSTIN", "TX", "787041234"),
    },
)  # fmt: skip


def random_claims(number: int, seed: int = 1) -> list[Claim]:
    """Return claims in runs of one billing provider and one payer; every kind of KINDS comes up."""
    dice = random.Random(seed)
    serial = count(1)
    claims = [_claim(dice, next(serial), seed, KINDS[at % len(KINDS)]) for at in range(number)]
    return sorted(claims, key=lambda claim: (claim.billing, claim.payer))


def _claim(dice: random.Random, serial: int, seed: int, kind: str) -> Claim:
    control = f"{seed:03}C{serial:09}XYZ0"
    lines = _lines(dice, control, kind)
    city, state, postal_code = dice.choice(CITIES)
    first, last = dice.choice(FIRST), dice.choice(LAST)
    claim = Claim(
        f"claim-{serial}", billing="b2" if dice.random() < 0.2 else "b1", payer=f"p{dice.randint(1, 6)}",
        rendering=f"d{dice.randint(0, 29)}", facility=dice.choice(["", "f0", "f1", "f2"]),
        filing_code=dice.choice(["CI", "HM", "12", "BL", "MC"]), group_number=dice.choice(["", "GRP 01", "G7"]),
        plan_name=dice.choice(["", "GOLD PLAN"]), member_id=f"W{serial:09}", holder_last=last, holder_first=first,
        holder_birth=f"19{dice.randint(30, 99)}0{dice.randint(1, 9)}{dice.randint(10, 28)}",
        holder_sex=dice.choice("MF"), holder_line1=f"{dice.randint(1, 999)} OAK AVE",
        holder_line2=dice.choice(["", "APT 4"]), holder_city=city, holder_state=state, holder_postal_code=postal_code,
        control_number=control, total=_sum(line.charge for line in lines), place_of_service="11",
        trace=dice.choice(["", f"T{serial:09}"]), record_number=dice.choice(["", f"MRN{serial}"]),
        diagnoses=",".join(dice.sample(DIAGNOSES, dice.randint(2, 8))), lines=lines,
    )  # fmt: skip
    return claim._replace(**_changes(dice, claim, kind))


def _lines(dice: random.Random, control: str, kind: str) -> tuple[Line, ...]:
    return tuple(
        Line(
            str(at), code, modifiers=dice.choice(["", "", "25", "25,59"]),
            charge=f"{dice.randint(25, 400)}.{dice.randint(0, 99):02}", units=dice.choice(["1", "2", "1.000", "1.5"]),
            pointers=dice.choice(["1", "1,2"]), from_on=f"202610{dice.randint(10, 28)}",
            control_number=f"{control}L{at}", place_of_service="11",
        )._replace(**_line_changes(dice, kind))
        for at, code in enumerate(dice.sample(CODES, dice.randint(1, 4)), start=1)
    )  # fmt: skip


def _line_changes(dice: random.Random, kind: str) -> dict[str, str]:
    if kind == "drug":
        return {"ndc": "00002751001", "ndc_quantity": dice.choice(["2", "1.500"]), "ndc_unit": "ML"}
    if kind == "telehealth":
        return {"modifiers": "95", "place_of_service": dice.choice(["02", "10"])}
    if kind == "people":
        return {"rendering": dice.choice(["d1", "d2", "d99", ""]), "prior_authorization": dice.choice(["", "AUTH1"])}
    if kind == "rich":
        return {"description": "SAMPLE SERVICE", "note": "SAMPLE NOTE", "emergency": "Y", "to_on": "20261029"}
    return {}


def _changes(dice: random.Random, claim: Claim, kind: str) -> dict[str, object]:
    if kind == "dependent":
        return _dependent(dice, claim)
    if kind in {"secondary", "tertiary", "claim level"}:
        return _secondary(dice, claim, kind)
    if kind in {"replacement", "void"}:
        return {"frequency": "7" if kind == "replacement" else "8", "original_reference": f"ICN{claim.member_id}"}
    if kind == "telehealth":
        return {"place_of_service": claim.lines[0].place_of_service}
    if kind == "accident":
        return {
            "accident": dice.choice(["AA", "AA,OA", "EM"]), "accident_state": "TX", "accident_on": "20261001",
            "delay_reason": dice.choice(["", "11"]),
        }  # fmt: skip
    if kind == "people":
        return {
            "referring": "d3",
            "rendering": dice.choice(["d1", "d99", ""]),
            "referral_number": "REF1",
            "facility": "f1",
        }
    return _rich(dice) if kind == "rich" else {}


def _dependent(dice: random.Random, claim: Claim) -> dict[str, object]:
    address = {
        f"patient_{name}": getattr(claim, f"holder_{name}")
        for name in ("line1", "line2", "city", "state", "postal_code")
    }
    return {
        "relationship": dice.choice(["01", "19", "G8"]), "patient_last": claim.holder_last, "patient_first": "KID",
        "patient_birth": "20150102", "patient_sex": dice.choice("MF"), **address,
    }  # fmt: skip


def _rich(dice: random.Random) -> dict[str, object]:
    return {
        "onset_on": "20261001", "initial_treatment_on": "20261002", "last_menstrual_on": "20260901",
        "admission_on": "20261003", "discharge_on": "20261004", "patient_paid": "20.00", "prior_authorization": "AUTH9",
        "clia": "45D0123456", "note": "SAMPLE NOTE OF THE CLAIM", "delay_reason": dice.choice(["", "7"]),
        "assignment": dice.choice("ABC"), "benefits": dice.choice("NWY"), "release": dice.choice("IY"),
    }  # fmt: skip


def _secondary(dice: random.Random, claim: Claim, kind: str) -> dict[str, object]:
    """A primary that paid most of each line, or of the claim as a whole; a secondary that decided on it whole."""
    names = ["PRIMARY", "SECONDARY"] if kind == "tertiary" else ["PRIMARY"]
    by_line = kind != "claim level"
    others = tuple(_other(dice, claim, at, name, by_line=by_line and at == 0) for at, name in enumerate(names))
    lines = claim.lines
    if by_line:
        lines = tuple(line._replace(adjudications=(_decided(line, others[0]),)) for line in lines)
    return {
        "sequence": "T" if kind == "tertiary" else "S", "lines": lines, "other_payers": others,
        **dice.choice([{}, {"medicare_secondary": "12", "filing_code": "MB"}]),
    }  # fmt: skip


def _other(dice: random.Random, claim: Claim, at: int, name: str, *, by_line: bool) -> OtherPayer:
    lines = len(claim.lines)
    paid = Decimal(claim.total) - 8 * lines if at == 0 else Decimal(lines)
    rest = Decimal(claim.total) - paid
    return OtherPayer(
        "PS"[at], dice.choice(["18", "01"]), dice.choice(["", "OG1"]), "OTHER PLAN", "CI", "", claim.holder_last,
        claim.holder_first, claim.holder_line1, "", claim.holder_city, claim.holder_state, claim.holder_postal_code,
        f"O{claim.member_id}", f"OTHER {name}", f"7777{at}", f"{paid:.2f}", "4.50", adjudicated_on="20261030",
        reference=f"OICN{claim.member_id}{at}", adjustments=() if by_line else (("PR", "1", f"{rest:.2f}", ""),),
    )  # fmt: skip


def _decided(line: Line, other: OtherPayer) -> LineAdjudication:
    charge = Decimal(line.charge)
    paid = charge - 8
    rest = charge - paid
    adjustments = (
        ("CO", "45", "3.50", "1"),
        ("PR", "1", "1.00", ""),
        ("PR", "2", "2.00", ""),
        ("PR", "3", f"{rest - Decimal('6.5'):.2f}", ""),
    )
    return LineAdjudication(
        other.payer_identifier, f"{paid:.2f}", line.code, line.modifiers, line.units, "20261030", "4.50", adjustments
    )


def _sum(amounts: object) -> str:
    return f"{sum(map(Decimal, amounts)):.2f}"
