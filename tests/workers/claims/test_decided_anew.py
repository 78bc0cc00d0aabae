"""A payment is told from one that only looks alike, and a claim that is decided again has one decision in the end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from backend.apps.core import closed_values
from backend.apps.core.models import Alert
from backend.apps.insurance import ledger, posting, remittance_matching
from backend.apps.insurance.models import InsuranceClaim, Posting, Remittance, RemittanceClaim, TradingPartner
from backend.apps.insurance.tests.factories import billing_entity, make_patient_insurance, make_provider
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import moved
from tests.workers.claims.answers import content, receive, remittance
from tests.workers.claims.payments import post, single, state, sums, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.fixture
def partner() -> TradingPartner:
    return make_partner()


def test_two_payments_of_one_file_under_the_same_numbers_are_two(partner: TradingPartner) -> None:
    first, second = single(partner), single(partner)
    payments = [
        content(remittance(told(first, "100", "CAS*CO*45*50"), paid="100", trace="EFT-1")),
        content(remittance(told(second, "90", "CAS*CO*45*60"), paid="90", trace="EFT-1")),
    ]
    file = receive(partner, b"".join(payments))
    assert (file.status, state(first)[0], state(second)[0]) == ("applied", "paid", "paid")
    assert list(Remittance.objects.order_by("place").values_list("place", flat=True)) == [1, 2]


def known_by_payer(partner: TradingPartner, **over: Any) -> InsuranceClaim:
    claim = single(partner, **over)
    return moved(claim, "accepted", insurance_reference_number=f"PAYER{claim.claim_number}")


OTHERS = {
    "another payer": {"payer": "N1*PR*OTHER*XV*OTHERPAYER"},
    "another charge, member and day": {"charge": "140"},
}


@pytest.mark.parametrize("of", [*OTHERS, "this payer"])
def test_a_payers_number_counts_only_where_it_is_that_payers_and_the_rest_agrees(
    partner: TradingPartner, of: str
) -> None:
    claim = known_by_payer(partner)
    make_provider(payer_id="OTHERPAYER")
    odd = OTHERS.get(of, {"payer": f"N1*PR*THIS*XV*{claim.patient_insurance.insurance_plan.provider.payer_id}"})
    charge = odd.get("charge", "150")
    kind, segments = remittance(told(claim, charge, charge=charge, number="0"), paid=charge)
    segments = [odd.get("payer", one) if one.startswith("N1*PR") else one for one in segments]
    receive(partner, content((kind, segments)))
    assert RemittanceClaim.objects.get().state == ("posted" if of == "this payer" else "unmatched")
    assert state(claim)[0] == ("paid" if of == "this payer" else "accepted")


UNKNOWN = {
    "all of it agrees": ("20261001", "W123456789", "150", "posted"),
    "another day": ("20261002", "W123456789", "150", "unmatched"),
    "another member": ("20261001", "W1", "150", "unmatched"),
    "another charge": ("20261001", "W123456789", "140", "unmatched"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_the_number_of_a_payer_that_we_do_not_know_counts_only_where_all_the_rest_agrees(
    partner: TradingPartner, what: str
) -> None:
    claim = known_by_payer(partner)
    day, member, charge, expected = UNKNOWN[what]
    given = told(claim, charge, charge=charge, number="0", more=[f"DTM*232*{day}"])
    kind, segments = remittance([one.replace("W123456789", member) for one in given], paid=charge)
    segments = ["N1*PR*STRANGER*XV*NOBODYS1" if one.startswith("N1*PR") else one for one in segments]
    receive(partner, content((kind, segments)))
    row = RemittanceClaim.objects.get()
    assert (row.state, state(claim)[0]) == (expected, "paid" if expected == "posted" else "accepted")
    assert claim in remittance_matching.candidates(row)


MEDICARE = ("1EG4-TE5-MK73", "1EG4TE5MK73")


@pytest.mark.parametrize("kept", MEDICARE)
@pytest.mark.parametrize("known", ["short", "payer", "stranger"])
def test_a_number_of_medicare_is_the_same_with_and_without_the_hyphens_of_the_card(
    partner: TradingPartner, kept: str, known: str
) -> None:
    claim = known_by_payer(partner, patient_insurance=make_patient_insurance(member_id=kept))
    payer = claim.patient_insurance.insurance_plan.provider.payer_id if known == "payer" else "NOBODYS1"
    charge = "140" if known == "payer" else "150"
    number, day = (claim.claim_number, "20261002") if known == "short" else ("0", "20261001")
    given = told(claim, charge, charge=charge, number=number, more=[f"DTM*232*{day}"])
    kind, segments = remittance([one.replace("W123456789", MEDICARE[1]) for one in given], paid=charge)
    segments = [f"N1*PR*SOME*XV*{payer}" if one.startswith("N1*PR") else one for one in segments]
    receive(partner, content((kind, segments)))
    assert (RemittanceClaim.objects.get().state, state(claim)[0]) == ("posted", "paid")


def test_a_members_number_that_does_not_open_leaves_its_payment_to_a_person_and_posts_the_others(
    partner: TradingPartner, monkeypatch: Any
) -> None:
    monkeypatch.setattr(closed_values, "_told", {})  # of this process, told of within the minute
    closed, other = known_by_payer(partner), single(partner)
    with connection.cursor() as cursor:  # as of another row
        cursor.execute(
            "UPDATE insurance_patientinsurance SET member_id = (SELECT member_id FROM insurance_patientinsurance "
            "WHERE id = %s) WHERE id = %s",
            [other.patient_insurance_id, closed.patient_insurance_id],
        )
    given = told(closed, "150", number=closed.claim_number, more=["DTM*232*20261002"])
    post(partner, given, told(other, "150"), paid="300")
    assert (state(closed)[0], state(other)[0]) == ("accepted", "paid")
    assert RemittanceClaim.objects.get(state="unmatched").paid == 150
    assert Alert.objects.get(kind="sealed_value_closed").cause.endswith("insurance.PatientInsurance.member_id")


@pytest.mark.parametrize("kept", MEDICARE)
def test_a_person_is_shown_the_claims_of_a_member_of_medicare(partner: TradingPartner, kept: str) -> None:
    claim = single(partner, patient_insurance=make_patient_insurance(member_id=kept))
    given = told(claim, "10", charge="10", number="X9")
    post(partner, [one.replace("W123456789", MEDICARE[1]) for one in given], paid="10")
    assert list(remittance_matching.candidates(RemittanceClaim.objects.get())) == [claim]


PAYEES = [("1234567893", "987654321", True), ("1245319599", "123456789", True), ("1245319599", "987654321", False)]


@pytest.mark.parametrize(("npi", "tax_id", "posts"), PAYEES)
def test_a_payment_to_somebody_else_is_not_posted(partner: TradingPartner, npi: str, tax_id: str, posts: bool) -> None:
    claim = single(partner, billing_entity=billing_entity(npi=npi, tax_id=tax_id))
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    assert Remittance.objects.get().status == ("posted" if posts else "quarantined")
    assert state(claim)[0] == ("paid" if posts else "submitted")


def test_an_appeal_that_is_won_leaves_the_new_decision_only(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "0", "CAS*CO*50*150"), paid="0")
    state(claim)
    claim.appeal()
    post(partner, told(claim, "100", "CAS*CO*45*30", "CAS*PR*2*20"), paid="100")
    assert state(claim) == ("paid", Decimal(100), Decimal(120), Decimal(20))
    assert sums(claim) == {"payment": Decimal(100), "contractual": Decimal(30), "patient": Decimal(20)}
    back = Posting.objects.get(claim=claim, is_reversal=True)
    assert (back.group, back.reason, back.amount) == ("CO", "50", Decimal(-150))
    first, second = RemittanceClaim.objects.filter(claim=claim).order_by("pk")
    assert (first.reason, second.reason) == (ledger.SUPERSEDED, "")


def test_an_appeal_that_is_lost_is_denied_again_and_counts_once(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "0", "CAS*CO*50*150"), paid="0")
    state(claim)
    claim.appeal()
    post(partner, told(claim, "0", "CAS*CO*50*150"), paid="0")
    assert (state(claim)[0], sums(claim)) == ("denied", {"contractual": Decimal(150)})


def test_a_denial_that_is_corrected_without_being_taken_back_is_the_correction(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "0", "CAS*CO*16*150"), paid="0")
    post(partner, told(claim, "0", "CAS*PR*1*150"), paid="0")
    assert state(claim) == ("paid", Decimal(0), Decimal(150), Decimal(150))
    assert sums(claim) == {"contractual": Decimal(0), "patient": Decimal(150)}


def test_the_same_denial_under_another_payment_is_left_to_a_person(partner: TradingPartner) -> None:
    claim = single(partner)
    for _ in range(2):
        file = post(partner, told(claim, "0", "CAS*CO*16*150"), paid="0")
    row = RemittanceClaim.objects.get(claim=claim, state="blocked")
    assert (file.status, row.reason) == ("partly", posting.DECIDED)
    assert sums(claim) == {"contractual": Decimal(150)}


LATER = ("3", "20", "21")
FIRSTS = {
    "all of it is the patient's": ("1", "0", ["CAS*PR*1*150"], "paid"),
    "denied": ("1", "0", ["CAS*CO*16*150"], "denied"),
    "passed on to nobody that we know": ("19", "0", ["CAS*PR*1*150"], "paid"),
    "parts of it paid": ("1", "40", ["CAS*CO*45*110"], "paid"),
}


@pytest.mark.parametrize(("first", "turn"), [*((one, "2") for one in FIRSTS), *(("denied", n) for n in LATER)])
def test_what_a_next_payer_decides_under_the_first_ones_number_takes_no_decisions_place(
    partner: TradingPartner, first: str, turn: str
) -> None:
    claim = single(partner)
    status, paid, cas, stands = FIRSTS[first]
    post(partner, told(claim, paid, *cas, status=status), paid=paid)
    before = sums(claim)
    file = post(partner, told(claim, "90", "CAS*CO*45*60", status=turn), paid="90")
    row = RemittanceClaim.objects.get(claim=claim, status_code=turn)
    assert (file.status, row.state, row.reason) == ("partly", "blocked", posting.BEYOND)
    assert (state(claim)[:2], sums(claim)) == ((stands, Decimal(paid)), before)


def test_a_denial_that_does_not_tell_whose_it_is_takes_no_decisions_place(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "0", "CAS*PR*1*150"), paid="0")
    post(partner, told(claim, "0", "CAS*CO*31*150", status="4"), paid="0")
    assert RemittanceClaim.objects.get(claim=claim, status_code="4").reason == posting.DECIDED
    assert state(claim)[0] == "paid"


@pytest.mark.parametrize(("paid", "of"), [("100", "150"), ("40", "50")])
@pytest.mark.parametrize("denied", ["0", "100"])
def test_a_denial_that_does_not_tell_whose_it_is_stands_beside_no_payment(
    partner: TradingPartner, paid: str, of: str, denied: str
) -> None:
    claim = single(partner)
    post(partner, told(claim, paid, f"CAS*CO*45*{int(of) - int(paid)}", charge=of), paid=paid)
    paid_on, number = state(claim) and claim.payment_date, claim.insurance_reference_number
    cas = ["CAS*CO*31*100"] if denied == "100" else []
    given = told(claim, "0", *cas, status="4", charge=denied)
    file = post(partner, [one.replace("PAYER", "OTHER") for one in given], paid="0")
    row = RemittanceClaim.objects.get(claim=claim, status_code="4")
    assert (file.status, row.state, row.reason) == ("partly", "blocked", posting.DECIDED)
    assert state(claim)[:2] == ("paid", Decimal(paid))
    assert (claim.payment_date, claim.insurance_reference_number) == (paid_on, number)


def test_what_was_paid_stays_paid_when_the_appeal_is_answered_by_a_denial_without_amounts(
    partner: TradingPartner,
) -> None:
    claim = single(partner)
    post(partner, told(claim, "60", "CAS*CO*45*90"), paid="60")
    state(claim)
    claim.appeal()
    post(partner, told(claim, "0", status="4", charge="0"), paid="0")
    assert (state(claim)[:2], bool(claim.payment_date)) == (("paid", Decimal(60)), True)


def test_a_second_payer_may_decide_anew_about_its_own_claim_and_the_first_one_not(partner: TradingPartner) -> None:
    claim = single(partner)
    second = single(partner, patient_insurance=make_patient_insurance(priority=2), secondary_to=claim)
    post(partner, told(second, "0", "CAS*CO*16*150", status="2"), paid="0")
    post(partner, told(second, "90", "CAS*CO*45*60", status="1"), paid="90")
    assert RemittanceClaim.objects.get(claim=second, status_code="1").reason == posting.DECIDED
    post(partner, told(second, "90", "CAS*CO*45*60", status="2"), paid="90")
    assert state(second)[:2] == ("paid", Decimal(90))


def test_a_claim_that_an_835_says_nothing_of_is_noted_and_holds_up_none_beside_it(partner: TradingPartner) -> None:
    empty, other = single(partner), single(partner)
    nothing = [f"CLP*{empty.control_number}*1*0*0*0*12*PAYER1*11*1", "NM1*QC*1*DOE*SAMPLE****MI*W123456789"]
    file = post(partner, nothing, told(other, "100", "CAS*CO*45*50"), paid="100")
    assert (file.status, RemittanceClaim.objects.get(claim=empty).state) == ("applied", "noted")
    assert (state(empty)[0], state(other)[0]) == ("submitted", "paid")


def test_a_denial_without_amounts_is_one_and_holds_up_none_beside_it(partner: TradingPartner) -> None:
    empty, other = single(partner), single(partner)
    nothing = [f"CLP*{empty.control_number}*4*0*0*0*12*PAYER1*11*1", "NM1*QC*1*DOE*SAMPLE****MI*W123456789"]
    file = post(partner, nothing, told(other, "100", "CAS*CO*45*50"), paid="100")
    assert (file.status, state(empty)[0], state(other)[0]) == ("applied", "denied", "paid")


@pytest.mark.parametrize(("paid", "cas"), [("-10", ["CAS*CO*45*160"]), ("0", ["CAS*CO*45*160", "CAS*PR*2*-10"])])
def test_a_decision_below_nothing_is_blocked_and_holds_up_none_beside_it(
    partner: TradingPartner, paid: str, cas: list[str]
) -> None:
    claim, other = single(partner), single(partner)
    post(partner, told(claim, "0", "CAS*CO*16*150"), paid="0")
    given = [told(claim, paid, *cas), told(other, "100", "CAS*CO*45*50")]
    file = post(partner, *given, paid=str(100 + int(paid)))
    assert (file.status, state(claim)[0], state(other)[0]) == ("partly", "denied", "paid")


def test_what_was_paid_before_stays_paid_when_the_rest_is_paid_after_an_appeal(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "60", "CAS*CO*45*90"), paid="60")
    state(claim)
    claim.appeal()
    post(partner, told(claim, "40", "CAS*CO*45*50", "CAS*OA*B13*60"), paid="40")
    assert state(claim) == ("paid", Decimal(100), Decimal(100), Decimal(0))
    assert sums(claim) == {"payment": Decimal(100), "contractual": Decimal(50)}


@pytest.mark.parametrize("before", ["", "CAS*OA*B13*50"])
def test_a_payment_beside_one_that_stands_is_left_to_a_person(partner: TradingPartner, before: str) -> None:
    claim = single(partner)
    post(partner, told(claim, "60", "CAS*CO*45*90"), paid="60")
    state(claim)
    claim.appeal()
    cas = [before, "CAS*CO*45*60"] if before else ["CAS*CO*45*110"]
    post(partner, told(claim, "40", *cas), paid="40")
    assert (state(claim)[:2], sums(claim)["payment"]) == (("appealed", Decimal(60)), Decimal(60))


def test_a_correction_written_before_its_reversal_is_posted_after_it(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "100", "CAS*CO*45*50"), paid="100")
    right = told(claim, "110", "CAS*CO*45*40")
    taken = told(claim, "-100", "CAS*CO*45*-50", status="22", charge="-150")
    file = post(partner, right, taken, paid="10")
    assert (file.status, state(claim)[:2]) == ("applied", ("paid", Decimal(110)))


@pytest.mark.parametrize("cas", ["CAS*PR*31*150", "CAS*CO*31*150"])
def test_who_is_not_the_payers_patient_is_denied_whatever_the_reason(partner: TradingPartner, cas: str) -> None:
    claim = single(partner)
    post(partner, told(claim, "0", cas, status="4"), paid="0")
    assert (state(claim)[0], bool(claim.denial_reason)) == ("denied", True)


def test_a_prediction_with_an_amount_posts_nothing(partner: TradingPartner) -> None:
    claim = single(partner)
    post(partner, told(claim, "100", "CAS*CO*45*50", status="25"), paid="100")
    assert (RemittanceClaim.objects.get(claim=claim).state, Posting.objects.count()) == ("noted", 0)
    assert state(claim)[0] == "submitted"
