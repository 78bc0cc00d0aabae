"""What the first payer leaves goes to the next one, once, and follows when the first one changes its mind."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core.models import Alert
from backend.apps.insurance import secondaries
from backend.apps.insurance.models import InsuranceClaim, Posting, PriorAdjudication, Submission, TradingPartner
from backend.apps.insurance.tests.factories import line, make_patient_insurance
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import moved, queued, sent_file
from tests.workers.claims.answers import content, paid_835, paid_claim, receive, sent_one, usual_lines
from tests.workers.claims.payments import post, state, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]
PAID, OWED = Decimal("100.00"), Decimal("20.00")


@pytest.fixture
def partner() -> TradingPartner:
    return make_partner()


def with_secondary(partner: TradingPartner, **over: Any) -> tuple[InsuranceClaim, Any]:
    claim, _ = sent_one(partner, **over)
    second = make_patient_insurance(patient=claim.patient_insurance.patient, priority=2, member_id="S1")
    return claim, second


def secondary_of(claim: InsuranceClaim) -> InsuranceClaim | None:
    return InsuranceClaim.objects.filter(secondary_to=claim).first()


def test_what_the_first_payer_leaves_is_drafted_for_the_next_one(partner: TradingPartner) -> None:
    claim, second = with_secondary(partner)
    receive(partner, content(paid_835(claim)))
    made = secondary_of(claim)
    assert made is not None
    assert (made.status, made.patient_insurance, made.billed_amount) == ("draft", second, claim.billed_amount)
    prior = PriorAdjudication.objects.get(claim=made)
    assert (prior.paid, prior.remaining, prior.reference) == (PAID, OWED, f"PAYER{claim.claim_number}")
    assert prior.coverage == claim.patient_insurance
    assert [(one.number, one.code, one.paid, one.remaining) for one in prior.lines.all()] == [
        (1, "99213", Decimal(80), Decimal(20)), (2, "36415", Decimal(20), Decimal(0))
    ]  # fmt: skip
    for told_line, ours in zip(prior.lines.all(), made.lines.all(), strict=True):
        assert ours.charge == told_line.paid + sum(Decimal(one[2]) for one in told_line.adjustments)


def test_a_second_claim_is_made_once(partner: TradingPartner) -> None:
    claim, _ = with_secondary(partner)
    receive(partner, content(paid_835(claim)))
    assert secondaries.follow([claim.pk]) == 0
    assert InsuranceClaim.objects.filter(secondary_to=claim).count() == 1


@pytest.mark.parametrize("status", ["19", "20", "21", "2"])
def test_what_the_payer_passed_on_itself_is_not_billed_again(partner: TradingPartner, status: str) -> None:
    claim, _ = with_secondary(partner)
    post(partner, paid_claim(claim, *usual_lines(claim), status=status), paid="100")
    assert secondary_of(claim) is None


def test_nothing_is_billed_on_where_nothing_is_left_or_nobody_is_next(partner: TradingPartner) -> None:
    full, _ = with_secondary(partner, procedure_codes=[line("150.00")])
    post(partner, told(full, "100", "CAS*CO*45*50"), paid="100")
    alone, _ = sent_one(partner)
    ended, second = with_secondary(partner)
    second.termination_date = date(2026, 1, 31)
    second.save()
    for claim in (alone, ended):
        receive(partner, content(paid_835(claim)))
    assert [secondary_of(claim) for claim in (full, alone, ended)] == [None] * 3


def reversed_835(claim: InsuranceClaim) -> list[str]:
    lines = ["SVC*HC:99213*-125*-80", "CAS*CO*45*-25", "CAS*PR*3*-20", f"REF*6R*{claim.control_number}L1",
             "SVC*HC:36415*-25*-20", "CAS*CO*45*-5", f"REF*6R*{claim.control_number}L2"]  # fmt: skip
    return paid_claim(claim, *lines, status="22", charge="-150", paid="-100", patient="-20")


def test_a_reversal_takes_back_the_draft_that_rested_on_it(partner: TradingPartner) -> None:
    claim, second = with_secondary(partner)
    receive(partner, content(paid_835(claim)))
    made = secondary_of(claim)
    assert made is not None
    queued(partner, made)
    post(partner, reversed_835(claim), paid="0", plb="PLB*1*20261231*FB*-100")
    assert secondary_of(claim) is None
    assert Submission.objects.get(claim=made).status == "withdrawn"
    again = paid_claim(claim, "SVC*HC:99213*125*70**1", "CAS*CO*45*25", "CAS*PR*3*30",
                       f"REF*6R*{claim.control_number}L1", "SVC*HC:36415*25*20**1", "CAS*CO*45*5",
                       f"REF*6R*{claim.control_number}L2", paid="90", patient="30")  # fmt: skip
    post(partner, again, paid="90")
    made = secondary_of(claim)
    assert made is not None
    assert PriorAdjudication.objects.get(claim=made).remaining == Decimal(30)
    assert made.patient_insurance == second


def test_a_second_claim_on_its_way_is_told_of_when_what_it_rests_on_changes(partner: TradingPartner) -> None:
    claim, _ = with_secondary(partner)
    receive(partner, content(paid_835(claim)))
    made = secondary_of(claim)
    assert made is not None
    moved(made, "submitted")
    post(partner, reversed_835(claim), paid="0", plb="PLB*1*20261231*FB*-100")
    assert secondary_of(claim) == made
    assert Alert.objects.get(kind="claims_secondary_outdated").subject_id == str(made.pk)


def by_the_next_payer(claim: InsuranceClaim, status: str = "2", sign: str = "") -> list[str]:
    """Return what the payer after 100.00 decides under the first claim's number: 15 of the 20 that were left."""
    number = claim.control_number
    lines = [f"SVC*HC:99213*{sign}125*{sign}15**1", f"CAS*OA*23*{sign}105", f"CAS*PR*3*{sign}5", f"REF*6R*{number}L1",
             f"SVC*HC:36415*{sign}25*0**1", f"CAS*OA*23*{sign}25", f"REF*6R*{number}L2"]  # fmt: skip
    return paid_claim(claim, *lines, status=status, charge=f"{sign}150", paid=f"{sign}15", patient=f"{sign}5")


def test_what_the_next_payer_decides_on_a_claim_passed_on_is_posted_to_a_claim_of_its_own(
    partner: TradingPartner,
) -> None:
    claim, second = with_secondary(partner)
    post(partner, paid_claim(claim, *usual_lines(claim), status="19"), paid="100")
    assert post(partner, by_the_next_payer(claim), paid="15").status == "applied"
    made = secondary_of(claim)
    assert made is not None
    assert (made.patient_insurance, made.frequency, made.submissions.count()) == (second, "1", 0)
    assert state(made) == ("paid", Decimal(15), Decimal(20), Decimal(5))
    assert {p.line.number for p in Posting.objects.filter(claim=made) if p.line} == {1, 2}
    assert state(claim) == ("paid", PAID, PAID + OWED, OWED)
    assert not Alert.objects.filter(kind="claims_secondary_outdated").exists()
    post(partner, by_the_next_payer(claim, "22", "-"), paid="0", plb="PLB*1*20261231*FB*-15")
    assert (state(made)[:2], state(claim)[1]) == (("accepted", Decimal(0)), PAID)
    assert InsuranceClaim.objects.filter(secondary_to=claim).count() == 1


def test_what_a_payer_takes_back_makes_no_claim_to_the_next_one(partner: TradingPartner) -> None:
    claim, _ = with_secondary(partner)
    post(partner, paid_claim(claim, *usual_lines(claim), status="19"), paid="100")
    post(partner, reversed_835(claim), paid="0", plb="PLB*1*20261231*FB*-100")
    assert (state(claim)[:2], secondary_of(claim)) == (("accepted", Decimal(0)), None)


def test_a_third_payers_decision_goes_to_the_third_claim(partner: TradingPartner) -> None:
    claim, _ = with_secondary(partner)
    third = make_patient_insurance(patient=claim.patient_insurance.patient, priority=3, member_id="T1")
    post(partner, paid_claim(claim, *usual_lines(claim), status="19"), paid="100")
    post(partner, by_the_next_payer(claim, "20"), paid="15")
    last = paid_claim(claim, "SVC*HC:99213*125*5**1", "CAS*OA*23*120", "SVC*HC:36415*25*0**1", "CAS*OA*23*25",
                      status="3", paid="5", patient="0")  # fmt: skip
    assert post(partner, last, paid="5").status == "applied"
    made = InsuranceClaim.objects.get(patient_insurance=third)
    assert (state(made)[:2], made.secondary_to) == (("paid", Decimal(5)), secondary_of(claim))


def after_both(claim: InsuranceClaim) -> InsuranceClaim:
    """Return the claim to the third payer; it tells what both before it decided, line by line."""
    made = InsuranceClaim.objects.get(patient_insurance__priority=3)
    priors = PriorAdjudication.objects.filter(claim=made).order_by("coverage__priority")
    assert [(one.coverage.priority, one.paid, one.remaining) for one in priors] == [
        (1, PAID, OWED), (2, Decimal(15), Decimal(5))
    ]  # fmt: skip
    for prior in priors:
        for told_line, ours in zip(prior.lines.order_by("number"), made.lines.order_by("number"), strict=True):
            assert ours.charge == told_line.paid + sum(Decimal(one[2]) for one in told_line.adjustments)
    assert made.secondary_to == secondary_of(claim)
    return made


def test_what_the_second_payer_leaves_is_drafted_for_the_third_one_with_what_both_decided(
    partner: TradingPartner,
) -> None:
    claim, _ = with_secondary(partner)
    make_patient_insurance(patient=claim.patient_insurance.patient, priority=3, member_id="T1")
    receive(partner, content(paid_835(claim)))
    second = secondary_of(claim)
    assert second is not None
    sent_file(partner, second)
    moved(second, "submitted")
    assert post(partner, by_the_next_payer(second), paid="15").status == "applied"
    made = after_both(claim)
    assert made.status == "draft"
    assert secondaries.follow([claim.pk, second.pk]) == 0


def test_many_claims_to_third_payers_take_as_many_statements_as_one(partner: TradingPartner) -> None:
    counts = []
    for size in (1, 4):
        firsts = [with_secondary(partner)[0] for _ in range(size)]
        for claim in firsts:
            make_patient_insurance(patient=claim.patient_insurance.patient, priority=3, member_id="T1")
            receive(partner, content(paid_835(claim)))
        seconds = list(InsuranceClaim.objects.filter(secondary_to__in=firsts))
        sent_file(partner, *seconds)
        given = [by_the_next_payer(moved(one, "submitted")) for one in seconds]
        with CaptureQueriesContext(connection) as queries:
            post(partner, *given, paid=str(15 * size))
        counts.append(len(queries))
        assert InsuranceClaim.objects.filter(secondary_to__in=seconds).count() == size
    assert counts[0] == counts[1]


def test_a_claim_that_was_passed_on_twice_tells_what_both_payers_decided(partner: TradingPartner) -> None:
    claim, _ = with_secondary(partner)
    make_patient_insurance(patient=claim.patient_insurance.patient, priority=3, member_id="T1")
    post(partner, paid_claim(claim, *usual_lines(claim), status="19"), paid="100")
    post(partner, by_the_next_payer(claim, "20"), paid="15")
    last = paid_claim(claim, "SVC*HC:99213*125*5**1", "CAS*OA*23*120", "SVC*HC:36415*25*0**1", "CAS*OA*23*25",
                      status="3", paid="5", patient="0")  # fmt: skip
    post(partner, last, paid="5")
    assert after_both(claim).status == "paid"


def test_a_next_payer_that_nobody_recorded_is_left_to_a_person(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    post(partner, paid_claim(claim, *usual_lines(claim), status="19"), paid="100")
    assert post(partner, by_the_next_payer(claim), paid="15").status == "partly"
    assert state(claim)[1] == PAID


def replaced(partner: TradingPartner, claim: InsuranceClaim) -> InsuranceClaim:
    """Return a correction of a paid claim that its payer has decided on: 80 paid, 40 left."""
    new, _ = sent_one(partner, patient_insurance=claim.patient_insurance, frequency="7", original=claim)
    number = new.control_number
    lines = ["SVC*HC:99213*125*60**1", "CAS*CO*45*25", "CAS*PR*3*40", f"REF*6R*{number}L1", "SVC*HC:36415*25*20**1",
             "CAS*CO*45*5", f"REF*6R*{number}L2"]  # fmt: skip
    given = [paid_claim(new, *lines, paid="80", patient="40"), reversed_835(claim)]
    assert post(partner, *given, paid="0", plb="PLB*1*20261231*FB*-20").status == "applied"
    return new


def test_a_replaced_claim_takes_its_draft_to_the_next_payer_along(partner: TradingPartner) -> None:
    claim, _ = with_secondary(partner)
    receive(partner, content(paid_835(claim)))
    new = replaced(partner, claim)
    made = InsuranceClaim.objects.get(secondary_to__isnull=False)
    assert (made.secondary_to, made.frequency) == (new, "1")
    assert PriorAdjudication.objects.get(claim=made).remaining == Decimal(40)
    assert secondaries.follow([claim.pk, new.pk]) == 0


def test_a_replaced_claim_is_billed_to_the_next_payer_once(partner: TradingPartner) -> None:
    claim, _ = with_secondary(partner)
    receive(partner, content(paid_835(claim)))
    made = secondary_of(claim)
    assert made is not None
    moved(made, "submitted")
    new = replaced(partner, claim)
    assert InsuranceClaim.objects.get(secondary_to__isnull=False) == made
    assert "correct it" in Alert.objects.get(kind="claims_secondary_outdated", subject_id=made.pk).sentence
    assert secondaries.follow([claim.pk, new.pk]) == 0
