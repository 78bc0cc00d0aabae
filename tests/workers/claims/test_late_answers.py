"""Answers that come late, twice, cut or for somebody else move no claim that they are not about."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges, services, submitting
from backend.apps.insurance.models import AckEvent, InboundFile, InsuranceClaim, Interchange, Submission, TradingPartner
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.inquiry_factories import make_eligibility_inquiry
from backend.apps.insurance.tests.sent_claims import ISA, moved, queued, sent_file
from backend.apps.users.tests.factories import make_user
from tests.workers.claims.answers import (
    ack,
    content,
    receive,
    refused_beside,
    sent,
    sent_one,
    stands,
    status,
    ta1,
)
from workers.claims import reading

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.fixture
def partner() -> TradingPartner:
    return make_partner()


@pytest.mark.parametrize("answer", ["999", "TA1"])
def test_a_claim_that_was_taken_back_is_put_in_line_by_no_late_answer(partner: TradingPartner, answer: str) -> None:
    claim, file = sent_one(partner)
    receive(partner, content(status("A7:507", trace=claim.control_number)))
    claim.refresh_from_db()
    services.reopen(claim, by=None)
    queued(partner, claim)
    submitting.withdraw(claim, by=None)
    receive(partner, refused_beside(partner, claim, file) if answer == "999" else content(head=[ta1(file, "R", "023")]))
    claim.refresh_from_db()
    assert claim.status == "draft"
    assert not Submission.objects.filter(claim=claim, status="queued").exists()
    assert not AckEvent.objects.filter(claim=claim, kind=answer, was_applied=True).exists()


def test_a_reopened_claim_is_moved_by_no_late_acceptance(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    receive(partner, content(status("A7:507", trace=claim.control_number)))
    claim.refresh_from_db()
    services.reopen(claim, by=None)
    receive(partner, content(status("A2:20", trace=claim.control_number, more=["REF*1K*ICN1"])))
    assert stands(claim) == ("draft", "rejected")


def test_the_payers_word_stands_above_the_clearinghouses_in_any_order(partner: TradingPartner) -> None:
    ends = set()
    for order in itertools.permutations(range(4)):
        claim, file = sent_one(partner)
        payer, number = claim.patient_insurance.insurance_plan.provider.payer_id, claim.control_number
        answers = [
            content(ack(file)),
            content(status("A1:20", trace=number)),
            content(status("A7:507", trace=number)),
            content(status("A2:20", trace=number, source=f"PR*2*P*****PI*{payer}", more=["REF*1K*ICN1"])),
        ]
        for place in order:
            receive(partner, answers[place])
        ends.add((*stands(claim), claim.denial_reason, claim.insurance_reference_number))
    assert ends == {("accepted", "accepted", "", "ICN1")}


PAIRS = [("A2:20", "A1:20"), ("A2:20", "A7:507"), ("A7:507", "A1:20"), ("A7:507", "A2:20"), ("A1:20", "A1:20")]


@pytest.mark.parametrize(("house", "payers"), PAIRS)
def test_a_word_of_the_clearinghouse_and_one_of_the_payer_give_the_same_end_in_both_orders(
    partner: TradingPartner, house: str, payers: str
) -> None:
    ends = set()
    for order in ((0, 1), (1, 0)):
        claim, _ = sent_one(partner)
        payer, number = claim.patient_insurance.insurance_plan.provider.payer_id, claim.control_number
        answers = [status(house, trace=number), status(payers, trace=number, source=f"PR*2*P*****PI*{payer}")]
        for place in order:
            receive(partner, content(answers[place]))
        ends.add((*stands(claim), claim.denial_reason))
    expected = {"A1:20": "pending", "A2:20": "accepted", "A7:507": "rejected"}[payers]
    assert {end[:2] for end in ends} == {(expected, expected)}
    assert len(ends) == 1


@pytest.mark.parametrize("judged", ["denied", "paid"])
def test_a_judgement_that_a_person_entered_is_not_undone_by_a_late_acceptance(
    partner: TradingPartner, judged: str
) -> None:
    claim, _ = sent_one(partner)
    claim.refresh_from_db()
    if judged == "denied":
        services.deny(claim, by=None, reason="Not covered.")
    else:
        services.mark_as_paid(claim, by=make_user(), amount=Decimal(100))
    receive(partner, content(status("A2:20", trace=claim.control_number, more=["REF*1K*ICN1"])))
    assert stands(claim)[0] == judged
    assert claim.denial_reason == ("Not covered." if judged == "denied" else "")


def test_an_acceptance_that_a_person_entered_is_not_undone_by_a_receipt(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    moved(claim, "accepted")
    receive(partner, content(ack(file)))
    assert stands(claim)[0] == "accepted"


def test_answers_about_many_claims_of_ours_take_as_many_statements_as_about_one(partner: TradingPartner) -> None:
    counts = []
    for size in (1, 9):
        claims, _ = sent(partner, size)
        kind, usual = status("A2:20", trace=claims[0].control_number)
        more = [segment for place, claim in enumerate(claims[1:]) for segment in (f"HL*{place + 5}*3*PT",
                "NM1*QC*1*DOE*SAMPLE", f"TRN*2*{claim.control_number}", "STC*A2:20*20261126*WQ*150")]  # fmt: skip
        given = content((kind, [*usual, *more]))
        with CaptureQueriesContext(connection) as queries:
            receive(partner, given)
        counts.append(len(queries))
        assert {stands(claim)[0] for claim in claims} == {"accepted"}
    assert counts[0] == counts[1]


SPOKEN = timezone.now() - timedelta(hours=1)
ONCE = {"lease_no": 3, "spoken_at": SPOKEN, "sent_at": SPOKEN + timedelta(seconds=2), "due_at": SPOKEN}
NO_PROOF: dict[str, dict[str, Any]] = {
    "not reached before": ONCE,
    "put and renamed at once": {**ONCE, "spoken_at": None, "staged_at": SPOKEN},
}
PROOF: dict[str, dict[str, Any]] = {
    "being handed over": {**ONCE, "status": "speaking", "sent_at": None},
    "in doubt": {**ONCE, "status": "in_doubt", "sent_at": None},
    "staged": {**ONCE, "status": "staged", "sent_at": None, "spoken_at": None, "staged_at": SPOKEN},
    "put back in line after it had spoken": {**ONCE, "due_at": SPOKEN + timedelta(minutes=1)},
    "outlived its worker": {**ONCE, "sent_at": SPOKEN + timedelta(minutes=20)},
    "sent again by a person": {**ONCE, "status_reason": interchanges.AGAIN},
}


@pytest.mark.parametrize("how", [*NO_PROOF, *PROOF])
def test_a_duplicate_number_is_proof_only_where_the_partner_may_have_had_the_file(
    partner: TradingPartner, how: str
) -> None:
    claim, file = sent_one(partner)
    Interchange.objects.filter(pk=file.pk).update(**{**NO_PROOF, **PROOF}[how])
    receive(partner, content(head=[ta1(file, "R", "025")]))
    assert stands(claim) == (("submitted", "sent") if how in PROOF else ("draft", "rejected"))


def test_that_a_person_had_a_file_sent_again_is_remembered(partner: TradingPartner) -> None:
    partner.rejects_duplicates = True
    partner.save()
    _, file = sent_one(partner)
    Interchange.objects.filter(pk=file.pk).update(status="in_doubt", work_state="held", sent_at=None)
    file.refresh_from_db()
    again = interchanges.send_again(file, by=None)
    interchanges.mark_sent(again, at=timezone.now(), proof="Receipt 1.")
    again.refresh_from_db()
    assert again.status_reason == "A person had it sent again. Receipt 1."
    assert interchanges.may_have_gone_twice(again)


GROUPS = [("P", "pending", "rejected"), ("E", "pending", "rejected"), ("R", "rejected", "rejected")]


@pytest.mark.parametrize(("verdict", "unnamed", "named"), GROUPS)
def test_claims_of_transactions_that_a_999_does_not_name_share_what_becomes_of_the_group(
    partner: TradingPartner, verdict: str, unnamed: str, named: str
) -> None:
    (first, second), file = sent(partner, 2)
    Submission.objects.filter(claim=second).update(transaction_number="0002")
    said = [f"AK1*HC*{file.group_number}", "AK2*837*0002", "IK5*R*5", f"AK9*{verdict}*2*2*1"]
    receive(partner, content(("999", said)))
    assert (stands(first)[0], stands(second)[0]) == (unnamed, named)


def test_a_refused_group_is_refused_with_what_was_good_in_it(partner: TradingPartner) -> None:
    (first, second), file = sent(partner, 2)
    Submission.objects.filter(claim=second).update(transaction_number="0002")
    said = [f"AK1*HC*{file.group_number}", "AK2*837*0001", "IK5*A", "AK2*837*0002", "IK5*A", "AK9*R*2*2*0*1"]
    receive(partner, content(("999", said)))
    assert [stands(claim)[0] for claim in (first, second)] == ["rejected"] * 2
    assert first.denial_reason == "The group was refused: 999 R 1."
    assert Alert.objects.filter(kind="claims_file_refused").count() == 1


def test_a_refused_question_is_asked_once_more_and_its_neighbours_stay(partner: TradingPartner) -> None:
    good, bad = (make_eligibility_inquiry(partner=partner, status="sent") for _ in range(2))
    sets = f"ST*270*0001~TRN*1*{good.trace}*9~SE*3*0001~ST*270*0002~TRN*1*{bad.trace}*9~SE*3*0002~"
    file = sent_file(partner, kind="270", content=f"{ISA.format(1)}{sets}".encode())
    for times, expected in ((1, "queued"), (2, "rejected")):
        type(bad).objects.filter(pk__in=[good.pk, bad.pk]).update(interchange=file, status="sent")
        said = [f"AK1*HS*{file.group_number}", "AK2*270*0001", "IK5*A", "AK2*270*0002", "IK5*R*5", f"AK9*P*2*2*{times}"]
        receive(partner, content(("999", said)))
        bad.refresh_from_db()
        good.refresh_from_db()
        assert (good.status, bad.status, bad.codes) == ("sent", expected, ["999:R"])
        assert bad.interchange == (None if expected == "queued" else file)


def test_questions_of_a_refused_group_are_refused_with_those_that_it_does_not_name(partner: TradingPartner) -> None:
    good, bad = (make_eligibility_inquiry(partner=partner, status="sent") for _ in range(2))
    sets = f"ST*270*0001~TRN*1*{good.trace}*9~SE*3*0001~ST*270*0002~TRN*1*{bad.trace}*9~SE*3*0002~"
    file = sent_file(partner, kind="270", content=f"{ISA.format(1)}{sets}".encode())
    type(bad).objects.filter(pk__in=[good.pk, bad.pk]).update(interchange=file)
    receive(partner, content(("999", [f"AK1*HS*{file.group_number}", "AK2*270*0002", "IK5*R*5", "AK9*R*2*2*0"])))
    for one in (good, bad):
        one.refresh_from_db()
        assert (one.status, one.codes, one.interchange) == ("queued", ["999:R"], None)


def test_a_day_is_the_clinics_so_that_an_evenings_file_is_not_taken_for_an_earlier_one(partner: TradingPartner) -> None:
    claim, first = sent_one(partner)
    Submission.objects.filter(claim=claim).update(sent_at=datetime(2026, 11, 20, 18, tzinfo=UTC))
    interchanges.requeue(first, reason="never arrived")
    second = sent_file(partner)
    late = datetime(2026, 11, 27, 3, tzinfo=UTC)  # still the 26th at the clinic
    again = Submission.objects.filter(claim=claim, status="queued")
    again.update(status="sent", interchange=second, sent_at=late)
    moved(claim, "submitted")
    receive(partner, content(status("A2:20", trace=claim.control_number)))
    assert stands(claim) == ("accepted", "accepted")
    assert not Alert.objects.filter(kind="claims_sent_twice").exists()


@pytest.mark.parametrize("answer", [status("A2:20", trace="NOBODYS0NUMBER000"), status("A2:20", trace="NOBODYS")])
def test_an_answer_about_no_claim_of_ours_stays_one_when_it_is_read_again(partner: TradingPartner, answer: Any) -> None:
    file = receive(partner, content(answer))
    for _ in range(2):
        assert (file.status, file.findings) == ("partly", ["1 answers name no claim of ours."])
        InboundFile.objects.filter(pk=file.pk).update(work_state="waiting", status="received")
        reading.read_due()
        file.refresh_from_db()


def test_a_number_that_is_too_long_keeps_no_other_claim_waiting(partner: TradingPartner) -> None:
    claims, _ = sent(partner, 2)
    odd = status("A2:20", trace=claims[0].control_number, more=[f"REF*1K*{'9' * 80}"])
    kind, usual = status(f"A7:{'X' * 900}:{'Y' * 900}", trace=claims[1].control_number)
    levels = [segment.replace("HL*4*3*PT", "HL*5*3*PT") for segment in usual[11:]]
    assert receive(partner, content((kind, [*odd[1], *levels]))).status == "applied"
    assert [stands(claim)[0] for claim in claims] == ["accepted", "rejected"]
    assert claims[0].insurance_reference_number == "9" * 50


def test_answers_about_many_strangers_take_as_many_statements_as_about_one(partner: TradingPartner) -> None:
    counts = []
    for size in (1, 9):
        kind, usual = status("A2:20", trace="NOBODYS0NUMBER0000")
        more = [segment for place in range(size) for segment in (f"HL*{place + 5}*3*PT", "NM1*QC*1*DOE*SAMPLE",
                f"TRN*2*NOBODYS0NUMBER{place:04d}", "STC*A2:20*20261126*WQ*150")]  # fmt: skip
        given = content((kind, [*usual, *more]))
        with CaptureQueriesContext(connection) as queries:
            receive(partner, given)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_many_claims_that_may_have_gone_twice_are_one_alert(partner: TradingPartner) -> None:
    _, file = sent(partner, 3)
    interchanges.requeue(file, reason="never arrived")
    second = sent_file(partner)
    Submission.objects.filter(status="queued").update(status="batched", interchange=second)
    receive(partner, content(ack(file)))
    told = Alert.objects.get(kind="claims_sent_twice")
    assert (told.subject_id, told.sentence[:8]) == (str(file.pk), "3 claims")


def never_left(partner: TradingPartner) -> tuple[InsuranceClaim, Interchange]:
    claim, file = sent_one(partner)
    moved(claim, "draft", submission_date=None)
    Submission.objects.update(status="batched", sent_at=None)
    Interchange.objects.filter(pk=file.pk).update(status="ready", sent_at=None, work_state="waiting", lease_no=1)
    return claim, file


@pytest.mark.parametrize("answer", ["TA1 A", "TA1 R", "999", "277CA"])
def test_an_answer_to_a_file_that_never_left_sends_nothing_and_stops_nothing(
    partner: TradingPartner, answer: str
) -> None:
    claim, file = never_left(partner)
    answers = {
        "TA1 A": content(head=[ta1(file)]),
        "TA1 R": content(head=[ta1(file, "R", "023")]),
        "999": content(ack(file)),
        "277CA": content(status("A2:20", trace=claim.control_number)),
    }
    received = receive(partner, answers[answer])
    file.refresh_from_db()
    assert (file.status, file.work_state, stands(claim)) == ("ready", "waiting", ("draft", "batched"))
    assert received.status == "partly"
    assert Alert.objects.get(kind="claims_foreign_numbers").subject_id == str(file.pk)
