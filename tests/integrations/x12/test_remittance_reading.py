"""Holds the reader of 835s and its equations against oxedi, and each equation against a file that is a cent off."""

from __future__ import annotations

import random
import tracemalloc
from datetime import date
from decimal import Decimal
from typing import Any

import oxedi
import pytest

from integrations.x12 import balance, remittance_835, segments
from integrations.x12.remittance_records import Remittance
from integrations.x12.segments import NotX12
from tests.integrations.x12.answer_samples import imbalances, only, raw
from tests.support.remittances import envelope, money, random_835, random_facts

HEAD = ["BPR*I*{}*C*ACH************20261130", "TRN*1*EFT1*1512345678", "N1*PR*SAMPLE PAYER", "N1*PE*SAMPLE CLINIC*XX*1"]
FILES = {
    **{name: raw(name) for name in ("835_paid_denied", "835_reversal", "835_nothing_paid")},
    **{f"random {seed}": random_835(120, seed) for seed in (1, 2, 3)},
}


def remittance(content: bytes) -> Remittance:
    return remittance_835.read(only(content))


def advice(*body: str, paid: str = "100") -> bytes:
    return envelope([*(segment.format(paid) for segment in HEAD), "LX*1", *body])


def by_oxedi(content: bytes) -> dict[str, list[dict[str, str]]]:
    """Return oxedi's tables as rows of texts; its text of an empty cell is made an empty one."""
    tables = oxedi.parse(content).tables
    return {name: _rows(tables[name].render()) for name in tables.keys()}  # noqa: SIM118 - it is no dictionary


def _rows(text: str) -> list[dict[str, str]]:
    _, titles, *rows = text.strip().split("\n")
    names = [title.split(":")[0] for title in titles.split(" | ")]
    return [dict(zip(names, row.replace("∅", "").split(" | "), strict=True)) for row in rows if row.strip()]


def shown(value: Any) -> str:
    """Return a value as oxedi's table shows it."""
    return f"{value:.2f}" if isinstance(value, Decimal) else str(value or "")


# ---- held against oxedi


@pytest.mark.parametrize("name", FILES)
def test_oxedi_reads_the_same_payment_claims_lines_and_adjustments(name):
    theirs, found = by_oxedi(FILES[name]), remittance(FILES[name])
    claims = list(found.claims)
    lines = [line for claim in claims for line in claim.lines]
    adjustments = [each for claim in claims for part in (claim, *claim.lines) for each in part.adjustments]
    assert [
        (row["total_payment_amount"], row["trace_number"], row["payer_identifier"], row["payment_date"])
        for row in theirs["payments"]
    ] == [
        tuple(
            map(
                shown, (found.payment.amount, found.payment.trace_number, found.payment.payer_id, found.payment.paid_on)
            )
        )
    ]
    assert [
        tuple(
            row[column]
            for column in ("claim_id", "claim_status", "charge_amount", "payment_amount", "payer_control_number")
        )
        for row in theirs["claims"]
    ] == [
        tuple(map(shown, (claim.number, claim.status, claim.charge, claim.paid, claim.payer_claim_number)))
        for claim in claims
    ]
    assert [
        tuple(
            row[column] for column in ("procedure_code", "charge_amount", "payment_amount", "line_item_control_number")
        )
        for row in theirs["services"]
    ] == [tuple(map(shown, (line.code, line.charge, line.paid, line.control_number))) for line in lines]
    assert sorted((row["group_code"], row["reason_code"], row["amount"]) for row in theirs["adjustments"]) == sorted(
        (each.group, each.reason, shown(each.amount)) for each in adjustments
    )
    assert [(row["reason_code"], row["amount"]) for row in theirs["provider_adjustments"]] == [
        (each.reason, shown(each.amount)) for each in found.provider_adjustments
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_balances_for_oxedi_balances_here(name):
    assert [str(finding) for finding in oxedi.parse(FILES[name]).diagnostics] == []
    assert imbalances(FILES[name]) == []


def test_what_a_generated_file_says_is_what_its_facts_say():
    facts = random_facts(60, 5)
    found = remittance(facts.content)
    claims = list(found.claims)
    assert tuple(claim.number for claim in claims) == facts.numbers
    assert sum(claim.paid for claim in claims) == Decimal(money(facts.paid))
    assert sum(each.amount for each in found.provider_adjustments) == Decimal(money(facts.provider_adjustments))


def test_a_file_is_generated_for_claims_and_of_kinds_as_asked():
    numbers = tuple(f"CLAIM{index}" for index in range(30))
    facts = random_facts(30, 5, claims=numbers, kinds=("paid", "denied"))
    claims = list(remittance(facts.content).claims)
    assert (facts.numbers, imbalances(facts.content)) == (numbers, [])
    assert {claim.status for claim in claims} == {"1", "4"}
    assert claims[0].lines[0].control_number == "CLAIM0A"


# ---- the equations


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("SVC*HC:99213:25*150*110.5*", "SVC*HC:99213:25*150*110.49*", [("line", 1, 1, "0.01")]),
        ("CAS*PR*2*10", "CAS*PR*2*10.01", [("line", 1, 2, "-0.01"), ("claim", 1, 0, "-0.01")]),
        ("CAS*CO*45*10*0*97*5", "CAS*CO*45*10*0*97*4", [("line", 1, 1, "1"), ("claim", 1, 0, "1")]),
        ("CAS*PR*3*20*1*1*4.5", "CAS*PR*3*20*1*1*4.51", [("line", 1, 1, "-0.01"), ("claim", 1, 0, "-0.01")]),
        ("CAS*CO*253*5", "CAS*CO*253*5.01", [("claim", 1, 0, "-0.01")]),
        ("*1*250*165.5*", "*1*250.01*165.5*", [("charges", 1, 0, "-0.01"), ("claim", 1, 0, "0.01")]),
        ("*1*250*165.5*", "*1*250*165.49*", [("claim", 1, 0, "0.01"), ("payment", 0, 0, "0.01")]),
        ("BPR*I*165.5*", "BPR*I*165.51*", [("payment", 0, 0, "0.01")]),
        ("BPR*I*165.5*", "BPR*I**", [("payment", 0, 0, "-165.5")]),
    ],
)
def test_a_cent_off_is_found_where_it_is(before, after, expected):
    content = raw("835_paid_denied").decode()
    assert content.count(before) == 1
    off = imbalances(content.replace(before, after).encode())
    assert off == [(equation, claim, line, Decimal(amount)) for equation, claim, line, amount in expected]


@pytest.mark.parametrize("seed", range(40))
def test_a_cent_off_anywhere_in_a_generated_file_is_found(seed):
    places = {"BPR": (2,), "CLP": (3, 4), "SVC": (2, 3), "CAS": (3,), "PLB": (4,)}
    parts = [segment.split("*") for segment in random_835(12, seed).decode().split("~")]
    chosen = random.Random(seed).choice([(part, place) for part in parts for place in places.get(part[0], ())])
    chosen[0][chosen[1]] = str(Decimal(chosen[0][chosen[1]]) + Decimal("0.01"))
    assert imbalances("~".join("*".join(part) for part in parts).encode())


def test_oxedi_finds_each_cent_too_but_for_the_sum_of_the_charges():
    content = raw("835_paid_denied").decode()
    for before, after in (
        ("150*110.5*", "150*110.49*"),
        ("CAS*CO*253*5", "CAS*CO*253*5.01"),
        ("I*165.5*", "I*165.51*"),
    ):
        assert oxedi.parse(content.replace(before, after).encode()).diagnostics


@pytest.mark.parametrize(
    ("plb", "paid", "off"),
    [
        ("WO:OLD*20", "80", None),
        ("WO:OLD*20", "120", "40"),
        ("L6*-2.5", "102.5", None),
        ("L6*-2.5", "97.5", "-5"),
        ("WO:OLD*20*L6*-2.5*72*10*FB*1*CS:X*1*J1*1", "69.5", None),
        ("FB*100", "0", None),
    ],
)
def test_a_positive_provider_adjustment_lowers_the_payment_and_a_negative_one_raises_it(plb, paid, off):
    content = advice("CLP*A*1*100*100", f"PLB*1234567893*20261231*{plb}", paid=paid)
    assert imbalances(content) == ([("payment", 0, 0, Decimal(off))] if off else [])


def test_money_taken_back_that_no_adjustment_carries_forward_is_found():
    taken = ["CLP*A*22*-100*-100", "SVC*HC:99213*-100*-100"]
    assert imbalances(advice(*taken, paid="-100")) == [("negative", 0, 0, Decimal(-100))]
    assert imbalances(advice(*taken, "PLB*1*20261231*FB:NEXT*-100", paid="0")) == []


def test_a_reversal_with_a_positive_charge_is_found():
    assert imbalances(advice("CLP*A*22*100*100")) == [("reversal", 1, 0, Decimal(100))]


def test_a_payment_taken_from_us_is_found():
    body = [segment.format("100").replace("*C*ACH", "*D*ACH") for segment in HEAD]
    assert imbalances(envelope([*body, "LX*1", "CLP*A*1*100*100"])) == [("direction", 0, 0, Decimal(100))]
    nothing = [segment.format("0").replace("*C*ACH", "*D*NON") for segment in HEAD]
    assert imbalances(envelope([*nothing, "LX*1", "CLP*A*4*0*0"])) == []


def test_a_claim_is_checked_while_it_is_used_in_the_same_walk():
    found, sheet = remittance(raw("835_reversal")), balance.Sheet()
    numbers = [claim.number for claim in balance.watched(found.claims, sheet)]
    assert len(numbers) == 3
    assert sheet.close(found.payment, found.provider_adjustments) == []


# ---- what a claim says


def test_a_reversal_keeps_its_negative_adjustments_as_sent():
    taken, given, _ = remittance(raw("835_reversal")).claims
    assert (taken.status, taken.charge, taken.paid) == ("22", Decimal(-250), Decimal("-165.5"))
    assert [(each.group, each.reason, each.amount) for each in taken.lines[0].adjustments] == [
        ("CO", "45", -10),
        ("CO", "97", -5),
        ("PR", "3", -20),
        ("PR", "1", Decimal("-4.5")),
    ]
    assert (taken.number, taken.payer_claim_number) == (given.number, "P2026112700001")
    assert given.payer_claim_number == "P2026112700077"


def test_every_triplet_of_an_adjustment_is_kept_also_a_seventh():
    triplets = [f"{reason}*{reason}.01*{reason}" for reason in range(1, 8)]
    [claim] = remittance(advice("CLP*A*1*128.07*100", "CAS*CO*" + "*".join(triplets))).claims
    assert [(each.reason, each.amount, each.quantity) for each in claim.adjustments] == [
        (str(reason), Decimal(f"{reason}.01"), str(reason)) for reason in range(1, 8)
    ]


def test_all_remarks_are_kept_of_claim_and_line():
    paid, denied = remittance(raw("835_paid_denied")).claims
    assert paid.remarks == ("MA01", "MA07", "N1")
    assert denied.remarks == ("M2", "M3", "M4")
    assert paid.lines[0].remarks == ("N381", "M15")
    assert paid.lines[1].remarks == ()


def test_the_code_we_billed_and_the_payers_corrections_are_kept():
    paid, _ = remittance(raw("835_paid_denied")).claims
    changed = paid.lines[1]
    assert (changed.code, changed.original_code, changed.original_units) == ("87880", "87430", "2")
    assert (changed.service_from, changed.service_to) == (date(2026, 11, 1), date(2026, 11, 2))
    assert (paid.corrected_first_name, paid.corrected_member_id) == ("SAMPLES", "M00000011")
    assert (paid.rendering_npi, paid.references) == ("1234567893", (("1L", "GROUP1"), ("F8", "P2026010100001")))


def test_a_claim_passed_on_names_the_next_payer():
    *_, passed_on = remittance(raw("835_reversal")).claims
    assert (passed_on.status, passed_on.crossover_name, passed_on.crossover_id) == ("19", "SECOND SAMPLE", "54321")


def test_a_claim_without_a_patients_number_is_known_by_the_insureds():
    [claim] = remittance(advice("CLP*A*1*100*100", "NM1*QC*1*DOE*CHILD", "NM1*IL*1*DOE*PARENT****MI*M9")).claims
    assert (claim.first_name, claim.member_id) == ("CHILD", "M9")


def test_segments_not_known_are_passed_over_wherever_they_stand():
    plain = advice("CLP*A*1*100*90", "NM1*QC*1*DOE", "SVC*HC:99213*100*90", "CAS*CO*45*10", paid="90")
    noisy = advice(
        *("TS3*1*11*20261231*1*100", "TS2*1", "CLP*A*1*100*90", "ZZZ*1", "NM1*QC*1*DOE", "MIA*0", "QTY*CA*1", "RDM*BM"),
        *("SVC*HC:99213*100*90", "ZZZ", "CAS*CO*45*10", "RDM*EM*X", "K3*ANY", "DTM", "REF*6R", "AMT*B6", "LQ*HE"),
        paid="90",
    )
    (first,), (second,) = remittance(plain).claims, remittance(noisy).claims
    assert second._replace(segment=0, lines=()) == first._replace(segment=0, lines=())
    assert second.lines[0]._replace(segment=0) == first.lines[0]._replace(segment=0)
    assert imbalances(noisy) == []


def test_procedures_of_other_code_systems_are_read():
    kinds = ["AD:D0120", "N4:00071015523", "NU:0450", "ER:1", "HP:1", "HC:J1100:KX:RT:59:LT:TEXT"]
    [claim] = remittance(advice("CLP*A*1*6*6", *(f"SVC*{kind}*1*1*0450" for kind in kinds), paid="6")).claims
    assert [f"{line.qualifier}:{line.code}" for line in claim.lines][:5] == kinds[:5]
    assert claim.lines[5].modifiers == ("KX", "RT", "59", "LT")
    assert claim.lines[0].revenue_code == "0450"


def test_an_835_without_claims_is_a_payment_of_its_adjustments():
    found = remittance(envelope([*(segment.format("50") for segment in HEAD), "PLB*1*20261231*L6*-50"]))
    assert list(found.claims) == []
    assert [each.amount for each in found.provider_adjustments] == [Decimal(-50)]


# ---- refusals


@pytest.mark.parametrize(
    "amount", ["1e5", "NaN", "Infinity", "1_0", "\uff11", "1.001", "--1", "+1", " 1", "1,5", "9" * 20, "-", "."]
)
def test_what_is_no_amount_in_cents_is_refused_without_its_text(amount):
    for body in ([f"CLP*A*1*{amount}*1"], ["CLP*A*1*1*1", f"CAS*CO*45*{amount}"], [f"PLB*1*20261231*WO*{amount}"]):
        with pytest.raises(NotX12) as refusal:
            balance.check(remittance(advice(*body)))
        assert amount not in str(refusal.value).replace("segment 7", "") or len(amount) < 2
    with pytest.raises(NotX12, match="BPR02"):
        remittance(advice(paid=amount))


@pytest.mark.parametrize("amount", ["1O0", "1.005", "NaN"])
def test_an_amount_of_information_that_cannot_be_read_is_flagged_and_the_rest_stands(amount):
    body = [f"CLP*A*1*100*100*{amount}", f"AMT*AU*{amount}", "SVC*HC:99213*100*100", f"AMT*B6*{amount}", "AMT*KH*5"]
    transaction = only(advice(*body))
    found = remittance_835.read(transaction)
    [claim] = found.claims
    assert (claim.patient_responsibility, claim.amounts, claim.lines[0].amounts) == (0, (), (("KH", Decimal(5)),))
    assert [flaw.code for flaw in transaction.flaws] == ["amount"]
    assert amount not in transaction.flaws[0].sentence
    assert imbalances(advice(*body)) == []


@pytest.mark.parametrize(
    ("text", "value"), [("5", "5"), ("-.5", "-0.5"), ("5.", "5"), ("1.500", "1.5"), ("000.10", "0.1"), ("", "0")]
)
def test_amounts_are_read_however_they_are_written(text, value):
    [claim] = remittance(advice(f"CLP*A*1*1*{text}")).claims
    assert claim.paid == Decimal(value)


def test_a_bad_transaction_leaves_the_next_one_of_the_file_readable():
    found = []
    for transaction in segments.read(advice("CLP*A*1*x*1") + random_835(3)):
        try:
            found.append(balance.check(remittance_835.read(transaction)))
        except NotX12:
            found.append("refused")
    assert found == ["refused", []]


# ---- size


def test_many_claims_are_walked_in_flat_memory():
    content = random_835(1500, 4)
    tracemalloc.start()
    assert imbalances(content) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
