"""What the first payer leaves goes to the next one, once, and follows when the first one changes its mind."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from backend.apps.core.models import Alert
from backend.apps.insurance import secondaries
from backend.apps.insurance.models import InsuranceClaim, PriorAdjudication, Submission, TradingPartner
from backend.apps.insurance.tests.factories import line, make_patient_insurance
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import moved, queued
from tests.workers.claims.answers import content, paid_835, paid_claim, receive, sent_one, usual_lines
from tests.workers.claims.payments import post, told

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
