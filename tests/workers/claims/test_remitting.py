"""An 835 is posted to the cent, once, or not at all, and what the ledger cannot take is left for a person."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core.models import Alert
from backend.apps.core.sealed import written
from backend.apps.insurance.models import (
    AckEvent,
    BillingEntity,
    InboundFile,
    Interchange,
    Posting,
    ProviderAdjustment,
    Remittance,
    RemittanceClaim,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests.factories import line, make_patient_insurance
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import moved
from tests.workers.claims.answers import (
    content,
    paid_835,
    paid_claim,
    receive,
    remittance,
    sent,
    sent_one,
    usual_lines,
)
from tests.workers.claims.payments import post, single, state, sums, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.fixture
def partner() -> TradingPartner:
    return make_partner()


PAID, ALLOWED, OWED = Decimal("100.00"), Decimal("120.00"), Decimal("20.00")


def test_a_payment_is_posted_line_by_line_with_its_reasons(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    file = receive(partner, content(paid_835(claim, trace="EFT-7")))
    assert (file.status, file.kinds) == ("applied", "835")
    assert state(claim) == ("paid", PAID, ALLOWED, OWED)
    assert (claim.payment_reference, claim.payment_date) == ("EFT-7", date(2026, 11, 26))
    assert claim.insurance_reference_number == f"PAYER{claim.claim_number}"
    found = Posting.objects.filter(claim=claim).order_by("line__number", "kind")
    assert [(p.line and p.line.number, p.kind, p.group, p.reason, str(p.amount), p.remarks) for p in found] == [
        (1, "contractual", "CO", "45", "25.00", "N130"),
        (1, "patient", "PR", "3", "20.00", "N130"),
        (1, "payment", "", "", "80.00", ""),
        (2, "contractual", "CO", "45", "5.00", ""),
        (2, "payment", "", "", "20.00", ""),
    ]
    assert Submission.objects.get(claim=claim).status == "adjudicated"
    event = AckEvent.objects.get(claim=claim)
    assert (event.kind, event.code, event.details, event.was_applied) == ("835", "1", ["CO-45", "PR-3"], True)


OUTCOMES = [
    ("1", "100", ["CAS*CO*45*50"], "paid"),
    ("2", "10", ["CAS*OA*23*140"], "paid"),
    ("3", "10", ["CAS*OA*23*140"], "paid"),
    ("19", "100", ["CAS*CO*45*50"], "paid"),
    ("20", "100", ["CAS*OA*23*50"], "paid"),
    ("21", "100", ["CAS*OA*23*50"], "paid"),
    ("1", "0", ["CAS*PR*1*150"], "paid"),  # a deductible is no denial
    ("1", "0", ["CAS*CO*45*50", "CAS*PR*3*100"], "paid"),
    ("1", "0", ["CAS*CO*16*150"], "denied"),
    ("1", "0", ["CAS*PI*204*150"], "denied"),
    ("1", "0", ["CAS*OA*18*150"], "denied"),
    ("4", "0", ["CAS*CO*31*150"], "denied"),
    ("4", "0", ["CAS*OA*31*150"], "denied"),
]


@pytest.mark.parametrize(("status", "paid", "cas", "expected"), OUTCOMES)
def test_the_status_of_a_claim_follows_what_was_decided(
    partner: TradingPartner, status: str, paid: str, cas: list[str], expected: str
) -> None:
    turn = {"2": 2, "20": 2, "3": 3, "21": 3}.get(status, 1)
    claim = single(partner, patient_insurance=make_patient_insurance(priority=turn))
    post(partner, told(claim, paid, *cas, status=status), paid=paid)
    assert state(claim)[0] == expected
    assert bool(claim.denial_reason) == (expected == "denied")


@pytest.mark.parametrize("status", ["23", "25"])
def test_what_is_only_told_is_noted_and_not_posted(partner: TradingPartner, status: str) -> None:
    claim = single(partner)
    file = post(partner, told(claim, "0", "CAS*OA*101*150", status=status), paid="0")
    assert file.status == "applied"
    assert RemittanceClaim.objects.get(claim=claim).state == "noted"
    assert (state(claim)[0], Posting.objects.count()) == ("submitted", 0)


def test_an_adjustment_of_the_claim_alone_is_posted_beside_its_lines(partner: TradingPartner) -> None:
    claim = single(partner)
    lines = ["SVC*HC:99213*150*100**1", "CAS*CO*45*50", f"REF*6R*{claim.control_number}L1"]
    post(partner, paid_claim(claim, *lines, paid="90", patient="0", more=["CAS*CO*253*10"]), paid="90")
    assert sums(claim) == {"payment": Decimal(90), "contractual": Decimal(60)}
    assert Posting.objects.get(reason="253").line is None


BROKEN = {
    "line": ["SVC*HC:99213*125*80.01**1", "CAS*CO*45*45", "SVC*HC:36415*25*20**1", "CAS*CO*45*5"],
    "claim": ["SVC*HC:99213*125*80**1", "CAS*CO*45*45", "SVC*HC:36415*25*19.99**1", "CAS*CO*45*5.01"],
    "charges": ["SVC*HC:99213*150*100**1", "CAS*CO*45*50", "SVC*HC:36415*25*0**1", "CAS*CO*45*25"],
}


@pytest.mark.parametrize("equation", [*BROKEN, "payment"])
def test_a_cent_off_posts_nothing_and_names_the_equation(partner: TradingPartner, equation: str) -> None:
    claims, _ = sent(partner, 2)
    lines = BROKEN.get(equation, usual_lines(claims[1]))
    whole = "200.01" if equation == "payment" else "200"
    file = post(partner, paid_claim(claims[0], *usual_lines(claims[0])), paid_claim(claims[1], *lines), paid=whole)
    held = Remittance.objects.get()
    assert (file.status, held.status, Posting.objects.count()) == ("quarantined", "quarantined", 0)
    assert any(one.startswith(f"{equation}:") for one in held.findings), held.findings
    assert held.problem.startswith("Does not balance: ")
    assert [state(claim)[0] for claim in claims] == ["submitted"] * 2
    assert Alert.objects.filter(kind="claims_remittance_quarantined", subject_id=held.pk).exists()


def test_a_remittance_that_does_not_balance_holds_up_none_beside_it(partner: TradingPartner) -> None:
    bad, good = single(partner), single(partner)
    file = receive(partner, content(
        remittance(told(bad, "100", "CAS*CO*45*49"), paid="100"),
        remittance(told(good, "100", "CAS*CO*45*50"), paid="100"),
    ))  # fmt: skip
    assert (file.status, state(bad)[0], state(good)[0]) == ("partly", "submitted", "paid")


def test_a_second_copy_of_a_payment_posts_nothing(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100", trace="EFT-1")
    again = post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100", trace="EFT-1")
    assert (again.status, Remittance.objects.count(), Posting.objects.count()) == ("duplicate", 1, 2)
    assert again.findings == ["This payment is posted already, from another file."]


def test_a_quarantine_is_over_when_its_payment_came_in_another_file(partner: TradingPartner) -> None:
    claim = single(partner)
    entity = claim.billing_entity
    assert entity is not None
    sealed = written(BillingEntity, entity.pk, tax_id="987654321")
    BillingEntity.objects.filter(pk=entity.pk).update(npi="1245319599", **sealed)
    held = post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100", trace="EFT-1")
    BillingEntity.objects.filter(pk=entity.pk).update(npi="1234567893")
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100", trace="EFT-1")
    told_of = Alert.objects.filter(kind="claims_remittance_quarantined", resolved_at=None)
    assert told_of.exists()
    InboundFile.objects.filter(pk=held.pk).update(work_state="waiting", status="received")
    receive(partner, b"")
    assert Remittance.objects.get(file=held).status == "dismissed"
    assert not told_of.exists()


def test_a_file_that_is_read_again_posts_nothing(partner: TradingPartner) -> None:
    claim = single(partner)
    file = post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    InboundFile.objects.filter(pk=file.pk).update(work_state="waiting", status="received")
    receive(partner, b"")
    file.refresh_from_db()
    assert (file.status, Posting.objects.count(), AckEvent.objects.count()) == ("applied", 2, 1)


def test_a_reversal_and_its_correction_come_to_the_difference(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    taken = told(claim, "-100", "CAS*CO*45*-50", status="22", charge="-150")
    right = told(claim, "80", "CAS*CO*45*50", "CAS*PR*2*20")
    other = single(partner)
    file = post(partner, taken, right, told(other, "50", "CAS*CO*45*100"), paid="30")
    assert file.status == "applied"
    assert state(claim) == ("paid", Decimal(80), Decimal(100), Decimal(20))
    assert sums(claim) == {"payment": Decimal(80), "contractual": Decimal(50), "patient": Decimal(20)}
    assert set(Posting.objects.filter(is_reversal=True).values_list("amount", flat=True)) == {
        Decimal(-100), Decimal(-50)
    }  # fmt: skip
    assert state(other)[0] == "paid"


def test_a_reversal_alone_makes_the_claim_wait_for_its_correction(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    taken = told(claim, "-100", "CAS*CO*45*-50", status="22", charge="-150")
    post(partner, taken, paid="0", plb="PLB*1*20261231*FB*-100")
    assert state(claim) == ("accepted", Decimal(0), Decimal(0), Decimal(0))
    post(partner, told(claim, "90", "CAS*CO*45*60"), paid="90")
    assert state(claim)[:2] == ("paid", Decimal(90))


@pytest.mark.parametrize("frequency", ["7", "8"])
def test_a_reversal_under_the_number_of_a_correction_takes_back_its_original(
    partner: TradingPartner, frequency: str
) -> None:
    claim = single(partner)
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    new = single(partner, frequency=frequency, original=claim)
    taken = told(new, "-100", "CAS*CO*45*-50", status="22", charge="-150")
    if frequency == "8":
        post(partner, taken, paid="0", plb="PLB*1*20261231*FB*-100")
    else:
        post(partner, taken, told(new, "110", "CAS*CO*45*40"), paid="10")
    assert state(claim)[:2] == ("accepted", Decimal(0))
    assert state(new)[0] == ("submitted" if frequency == "8" else "paid")


@pytest.mark.parametrize(("paid", "cas"), [("-90", "CAS*CO*45*-60"), ("-100", "CAS*CO*45*-50")])
def test_a_reversal_of_what_was_never_posted_is_blocked(partner: TradingPartner, paid: str, cas: str) -> None:
    claim = single(partner)
    if paid == "-90":
        post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    before = sums(claim)
    taken = told(claim, paid, cas, status="22", charge="-150")
    file = post(partner, taken, paid="0", plb=f"PLB*1*20261231*FB*{paid}")
    row = RemittanceClaim.objects.get(status_code="22")
    assert (file.status, row.state, row.remittance.status) == ("partly", "blocked", "partly")
    assert sums(claim) == before


def test_a_claim_that_the_ledger_cannot_take_is_blocked_and_the_rest_is_posted(partner: TradingPartner) -> None:
    claim, other = single(partner), single(partner)
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    again = told(claim, "90", "CAS*CO*45*60")
    post(partner, again, told(other, "100", "CAS*CO*45*50"), paid="190")
    row = RemittanceClaim.objects.filter(claim=claim).latest("id")
    assert (row.state, row.reason) == (
        "blocked", "This claim has been decided already, and that was not taken back."
    )  # fmt: skip
    assert (state(claim)[1], state(other)[0], row.remittance.status) == (PAID, "paid", "partly")


def test_more_than_was_billed_is_blocked(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "200", charge="200"), paid="200")
    assert RemittanceClaim.objects.get(claim=claim).state == "blocked"
    assert (state(claim)[0], Posting.objects.count()) == ("submitted", 0)


def test_a_payment_entered_by_hand_is_not_posted_twice(partner: TradingPartner) -> None:
    claim = single(partner)
    claim.mark_as_paid(Decimal(100), "CHECK-1")
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    assert RemittanceClaim.objects.get(claim=claim).reason == "A person has entered a payment of this claim by hand."
    assert state(claim)[1] == PAID


def test_an_appealed_claim_is_decided_by_the_next_835(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "0", "CAS*CO*50*150"), paid="0")
    assert state(claim)[0] == "denied"
    claim.appeal()
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    assert state(claim)[:2] == ("paid", PAID)
    assert claim.denial_reason == ""


def test_a_claim_is_found_by_the_payers_number_where_ours_is_not_told(partner: TradingPartner) -> None:
    claim = single(partner)
    moved(claim, "accepted", insurance_reference_number=f"PAYER{claim.claim_number}")
    day = f"DTM*232*{claim.service_date:%Y%m%d}"
    post(partner, told(claim, "100", "CAS*CO*45*50", number="0", more=[day]), paid="100")
    assert state(claim)[0] == "paid"


def test_a_claim_that_is_not_found_waits_and_the_rest_is_posted(partner: TradingPartner) -> None:
    claim, lost = single(partner), single(partner)
    file = post(partner, told(claim, "100", "CAS*CO*45*50"), told(lost, "10", "CAS*CO*45*140", number="X9"), paid="110")
    row = RemittanceClaim.objects.get(state="unmatched")
    assert (file.status, state(claim)[0], row.claim_control_number, row.member_id) == (
        "partly", "paid", "X9", "W123456789"
    )  # fmt: skip


MATCHES = [
    ("SVC*HC:99213:25*125*80**1", 1),  # another modifier than ours
    ("SVC*HC:99999*125*80**1*HC:99213", 1),  # bundled: SVC06 is what we billed
    ("SVC*HC:36415*25*20**1", 2),
    ("SVC*HC:36415*12*7**1", 2),  # split
    ("SVC*HC:77777*25*20**1", None),
]


@pytest.mark.parametrize(("svc", "number"), MATCHES)
def test_a_line_without_our_number_is_found_by_what_we_billed(
    partner: TradingPartner, svc: str, number: int | None
) -> None:
    claim, _ = sent_one(partner)
    _, _, charge, paid, *_ = svc.split("*")
    off = Decimal(charge) - Decimal(paid)
    told_so = paid_claim(claim, svc, f"CAS*CO*45*{off}", charge=charge, paid=paid, patient="0")
    post(partner, told_so, paid=paid)
    found = Posting.objects.get(claim=claim, kind="payment")
    assert (found.line.number if found.line else None) == number


def test_two_lines_alike_are_told_apart_by_day_and_charge(partner: TradingPartner) -> None:
    codes = [line("100.00", service_date="2026-10-01"), line("50.00", service_date="2026-10-02")]
    claim, _ = sent_one(partner, procedure_codes=codes)
    lines = ["SVC*HC:99213*50*50**1", "DTM*472*20261002", "SVC*HC:99213*100*100**1", "DTM*472*20261001"]
    post(partner, paid_claim(claim, *lines, paid="150", patient="0"), paid="150")
    assert {p.line.number: p.amount for p in Posting.objects.filter(claim=claim) if p.line} == {1: 100, 2: 50}


def test_money_between_payer_and_practice_is_kept_beside_the_claims(partner: TradingPartner) -> None:
    claim, old = single(partner), single(partner)
    post(
        partner, told(claim, "100", "CAS*CO*45*50"), paid="75",
        plb=f"PLB*1234567893*20261231*WO:{old.control_number}*30*L6:SOME*-5",
    )  # fmt: skip
    found = list(ProviderAdjustment.objects.values_list("reason", "reference", "amount", "claim"))
    assert found == [("WO", old.control_number, Decimal(30), old.pk), ("L6", "SOME", Decimal(-5), None)]
    assert sums(claim)["payment"] == Decimal(100)


@pytest.mark.parametrize("of", ["this payer", "another payer", "two claims"])
def test_a_payers_number_beside_the_claims_counts_where_it_is_that_payers_and_one_claims(
    partner: TradingPartner, of: str
) -> None:
    paid, old = single(partner), single(partner)
    also = single(
        partner, patient_insurance=make_patient_insurance(insurance_plan=old.patient_insurance.insurance_plan)
    )
    for claim in (old, also) if of == "two claims" else (old,):
        moved(claim, "accepted", insurance_reference_number="ICN1")
    payer = (paid if of == "another payer" else old).patient_insurance.insurance_plan.provider.payer_id
    kind, segments = remittance(told(paid, "100", "CAS*CO*45*50"), paid="70", plb="PLB*1*20261231*WO:ICN1*30")
    segments = [f"N1*PR*SOME*XV*{payer}" if one.startswith("N1*PR") else one for one in segments]
    receive(partner, content((kind, segments)))
    assert ProviderAdjustment.objects.get().claim == (old if of == "this payer" else None)


def test_a_payment_proves_that_a_file_in_doubt_arrived(partner: TradingPartner) -> None:
    claim = single(partner)
    moved(claim, "draft", submission_date=None)
    Submission.objects.update(status="batched", sent_at=None)
    Interchange.objects.update(status="in_doubt", sent_at=None)
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    assert (state(claim)[0], Interchange.objects.get().status) == ("paid", "sent")


def test_a_draft_is_not_paid(partner: TradingPartner) -> None:
    claim = single(partner)
    moved(claim, "draft", submission_date=None)
    Submission.objects.update(status="rejected")
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    assert RemittanceClaim.objects.get().state == "blocked"


def test_a_remittance_of_many_claims_takes_as_many_statements_as_one_of_two(partner: TradingPartner) -> None:
    counts = []
    for size in (2, 12):
        claims, _ = sent(partner, size)
        given = content(remittance(*(paid_claim(c, *usual_lines(c)) for c in claims), paid=str(100 * size)))
        with CaptureQueriesContext(connection) as queries:
            receive(partner, given)
        counts.append(len(queries))
        assert {state(claim)[0] for claim in claims} == {"paid"}
    assert counts[0] == counts[1]
