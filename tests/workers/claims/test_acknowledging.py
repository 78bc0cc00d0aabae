"""Every answer before a payment moves a claim as it should, in any order and however often it comes."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import (
    AckEvent,
    InsuranceClaim,
    Interchange,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import moved, sent_file
from tests.workers.claims.answers import (
    NAMED,
    ack,
    batch_status,
    content,
    errors,
    paid_835,
    receive,
    sent,
    sent_one,
    stands,
    status,
    ta1,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.fixture
def partner() -> TradingPartner:
    return make_partner()


@pytest.mark.parametrize("verdict", ["A", "E"])
def test_a_ta1_that_takes_a_file_moves_no_claim(partner: TradingPartner, verdict: str) -> None:
    claim, file = sent_one(partner)
    received = receive(partner, content(head=[ta1(file, verdict)]))
    file.refresh_from_db()
    assert (received.status, received.kinds) == ("applied", "TA1")
    assert (file.ta1_code, file.status) == (verdict, "sent")
    assert stands(claim) == ("submitted", "sent")
    assert AckEvent.objects.get(claim=claim).stage == 20


def test_a_ta1_that_refuses_a_file_makes_its_claims_drafts_again(partner: TradingPartner) -> None:
    claims, file = sent(partner, 2)
    receive(partner, content(head=[ta1(file, "R", "023")]))
    file.refresh_from_db()
    partner.refresh_from_db()
    assert [stands(claim) for claim in claims] == [("draft", "rejected")] * 2
    assert (file.status, partner.paused_at) == ("rejected", None)
    assert claims[0].denial_reason == "The file was turned back: TA1 023."
    assert claims[0].submission_date is None
    assert Alert.objects.get(kind="claims_file_refused").subject_id == str(file.pk)


@pytest.mark.parametrize("note", ["008", "020"])
def test_a_setup_error_stops_the_partner(partner: TradingPartner, note: str) -> None:
    claim, file = sent_one(partner)
    receive(partner, content(head=[ta1(file, "R", note)]))
    partner.refresh_from_db()
    assert partner.paused_at is not None
    assert stands(claim) == ("draft", "rejected")
    assert Alert.objects.filter(kind="claims_partner_paused", subject_id=partner.pk).count() == 1


def test_a_duplicate_number_on_a_second_try_proves_that_the_first_one_arrived(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    moved(claim, "draft", submission_date=None)
    Submission.objects.update(status="batched", sent_at=None)
    Interchange.objects.filter(pk=file.pk).update(status="in_doubt", lease_no=2, sent_at=None)
    receive(partner, content(head=[ta1(file, "R", "025")]))
    file.refresh_from_db()
    partner.refresh_from_db()
    assert (file.status, partner.paused_at) == ("sent", None)
    assert stands(claim) == ("submitted", "sent")
    assert file.sent_at is not None


def test_a_duplicate_number_on_the_first_try_is_a_refusal(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    receive(partner, content(head=[ta1(file, "R", "025")]))
    partner.refresh_from_db()
    assert stands(claim) == ("draft", "rejected")
    assert partner.paused_at is not None


@pytest.mark.parametrize("verdict", ["A", "E"])
def test_a_999_that_takes_a_transaction_makes_its_claims_pending(partner: TradingPartner, verdict: str) -> None:
    claim, file = sent_one(partner)
    received = receive(partner, content(ack(file, verdict)))
    file.refresh_from_db()
    assert stands(claim) == ("pending", "pending")
    assert (file.status, received.kinds) == ("acknowledged", "999")
    assert file.acknowledged_at is not None


def test_a_999_proves_a_file_sent_that_was_in_doubt(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    moved(claim, "draft", submission_date=None)
    Submission.objects.update(status="batched", sent_at=None)
    Interchange.objects.filter(pk=file.pk).update(status="staged", sent_at=None)
    receive(partner, content(ack(file)))
    assert stands(claim) == ("pending", "pending")
    assert claim.submission_date is not None


@pytest.mark.parametrize("verdict", ["R", "M", "W", "X"])
def test_a_bad_claim_is_refused_alone_and_its_neighbours_are_queued_again(
    partner: TradingPartner, verdict: str
) -> None:
    (bad, good), file = sent(partner, 2)
    Submission.objects.filter(claim=bad).update(first_segment=10, last_segment=30)
    named = errors(NAMED, place=20, number=bad.control_number)
    receive(partner, content(ack(file, verdict, *named)))
    assert stands(bad) == ("rejected", "rejected")
    assert bad.denial_reason == "999: 2400 SV1 8 (1:7)"
    assert stands(good) == ("draft", "queued")
    again = Submission.objects.get(claim=good, status="queued")
    assert (again.frequency, again.claim_control_number) == ("1", good.control_number)
    assert Submission.objects.get(claim=good, interchange=file).status == "requeued"


def test_a_bad_claim_is_found_by_the_place_of_its_segment(partner: TradingPartner) -> None:
    (bad, good), file = sent(partner, 2)
    Submission.objects.filter(claim=bad).update(first_segment=10, last_segment=30)
    Submission.objects.filter(claim=good).update(first_segment=31, last_segment=50)
    receive(partner, content(ack(file, "R", "IK3*NM*30*2310*8")))
    assert (stands(bad)[0], stands(good)) == ("rejected", ("draft", "queued"))


def test_a_fault_outside_every_claim_refuses_them_all(partner: TradingPartner) -> None:
    claims, file = sent(partner, 2)
    Submission.objects.update(first_segment=10, last_segment=30)
    receive(partner, content(ack(file, "R", "IK3*PRV*8*2000*8")))
    assert [stands(claim) for claim in claims] == [("rejected", "rejected")] * 2
    assert Alert.objects.filter(kind="claims_file_refused").count() == 1


def test_each_transaction_of_a_group_that_is_taken_in_part_stands_by_its_own_answer(partner: TradingPartner) -> None:
    (first, second), file = sent(partner, 2)
    Submission.objects.filter(claim=second).update(transaction_number="0002")
    both = ["AK1*HC*{0}*005010X222A1", "AK2*837*0001", "IK5*A", "AK2*837*0002", "IK5*R*5", "AK9*P*2*2*1"]
    receive(partner, content(("999", [one.format(file.group_number) for one in both])))
    assert (stands(first)[0], stands(second)[0]) == ("pending", "rejected")


def test_what_a_999_writes_where_codes_belong_is_told_only_if_it_is_one(partner: TradingPartner) -> None:
    (bad, _), file = sent(partner, 2)
    Submission.objects.filter(claim=bad).update(first_segment=10, last_segment=30)
    receive(partner, content(ack(file, "R", "IK3*JANE DOE*20*SOMEBODY*JANE*", "IK4*1:2*234*JANE", codes="*JANE")))
    assert stands(bad)[0] == "rejected"
    assert bad.denial_reason == "999: ? ? ? (1:?)"
    assert AckEvent.objects.get(claim=bad).details == ["?", "? ? ? (1:?)"]


def test_a_group_that_is_refused_without_naming_a_transaction_is_refused_whole(partner: TradingPartner) -> None:
    claims, file = sent(partner, 2)
    receive(partner, content(("999", [f"AK1*HC*{file.group_number}", "AK9*R*1*1*0*1"])))
    assert [stands(claim)[0] for claim in claims] == ["rejected"] * 2


CATEGORIES = {
    "A0:20": "pending", "A1:20": "pending", "A2:20": "accepted", "A3:21": "rejected", "A4:35": "rejected",
    "A5:20": "pending", "A6:21": "rejected", "A7:507:IL": "rejected", "A8:562:85": "rejected", "P1:20": "pending",
    "F0:3": "pending", "R3:21": "pending", "D0:35": "pending", "Z9:1": "submitted",
}  # fmt: skip


@pytest.mark.parametrize(("stc", "expected"), CATEGORIES.items())
def test_the_category_of_a_277ca_decides_where_a_claim_stands(partner: TradingPartner, stc: str, expected: str) -> None:
    claim, _ = sent_one(partner)
    receive(partner, content(status(stc, trace=claim.control_number)))
    assert stands(claim)[0] == expected
    assert AckEvent.objects.get(claim=claim).details == [stc]


def test_an_acceptance_keeps_the_payers_number(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    receive(partner, content(status("A2:20", trace=claim.control_number, more=["REF*1K*ICN77"])))
    assert stands(claim) == ("accepted", "accepted")
    assert claim.insurance_reference_number == "ICN77"


@pytest.mark.parametrize("level", ["21", "19"])
@pytest.mark.parametrize("category", ["A3", "A6", "A7", "A8"])
def test_a_batch_refused_above_its_claims_refuses_them_all(partner: TradingPartner, category: str, level: str) -> None:
    claims, _ = sent(partner, 2)
    reference = Submission.objects.get(claim=claims[0]).batch_reference
    receive(partner, content(batch_status(f"{category}:24:85", reference=reference, level=level)))
    assert [stands(claim)[0] for claim in claims] == ["rejected"] * 2


def test_a_batch_status_above_claims_that_are_answered_decides_nothing(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    reference = Submission.objects.get(claim=claim).batch_reference
    kind, segments = status("A2:20", trace=claim.control_number, reference=reference)
    segments.insert(9, f"STC*A3:24*{'20261126'}*U*150")
    receive(partner, content((kind, segments)))
    assert stands(claim)[0] == "accepted"


def test_a_rejection_counts_whatever_the_action_code_says(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    receive(partner, content(status("A7:507*20261126*WQ*150", trace=claim.control_number)))
    assert stands(claim)[0] == "rejected"
    assert claim.denial_reason == "277CA A7:507"


def test_a_refused_line_of_an_accepted_claim_refuses_nothing(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    lines = ["REF*1K*ICN1", "SVC*HC:99213*125", "STC*A8:562*20261126*U*125"]
    receive(partner, content(status("A2:20", trace=claim.control_number, more=lines)))
    assert stands(claim)[0] == "accepted"
    assert list(AckEvent.objects.filter(claim=claim).order_by("code").values_list("code", "was_applied")) == [
        ("A2", True),
        ("A8", False),
    ]


@pytest.mark.parametrize("marks", ["*>~", "|^'", "*|~"])
def test_other_separators_are_read(partner: TradingPartner, marks: str) -> None:
    claim, _ = sent_one(partner)
    given = content(status("A7:507", trace=claim.control_number), marks=marks)
    assert receive(partner, given).status == "applied"
    assert stands(claim)[0] == "rejected"


def test_a_277ca_before_the_999_stands(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    receive(partner, content(status("A2:20", trace=claim.control_number, more=["REF*1K*ICN1"])))
    receive(partner, content(ack(file)))
    assert stands(claim) == ("accepted", "accepted")
    assert not AckEvent.objects.get(claim=claim, kind="999").was_applied


def test_a_payers_refusal_after_the_clearinghouses_acceptance_is_real(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    payer = claim.patient_insurance.insurance_plan.provider.payer_id
    number = claim.control_number
    receive(partner, content(status("A2:20", trace=number)))
    receive(partner, content(status("A7:21", trace=number, source=f"PR*2*PAYER*****PI*{payer}")))
    receive(partner, content(status("A2:20", trace=number, day="20261127")))  # the clearinghouse, once more and late
    assert stands(claim) == ("rejected", "rejected")


def test_what_is_said_of_an_earlier_try_does_not_move_the_claim(partner: TradingPartner) -> None:
    claim, _ = sent_one(partner)
    first = Submission.objects.get(claim=claim)
    Submission.objects.filter(pk=first.pk).update(status="rejected")
    sent_file(partner, claim)
    refused = status("A7:507", trace=claim.control_number, reference=first.batch_reference)
    receive(partner, content(refused))
    assert stands(claim) == ("submitted", "sent")
    assert not AckEvent.objects.get(claim=claim).was_applied


def requeued(partner: TradingPartner) -> tuple[InsuranceClaim, Interchange]:
    """Return a claim that waits for a second file, for a person was told that the first one never arrived."""
    claim, file = sent_one(partner)
    assert interchanges.requeue(file, reason="never arrived") == 1
    Interchange.objects.filter(pk=file.pk).update(status="rejected")
    return claim, file


@pytest.mark.parametrize("answer", ["999", "277CA"])
def test_a_claim_whose_first_file_arrived_after_all_is_not_sent_again(partner: TradingPartner, answer: str) -> None:
    claim, file = requeued(partner)
    reference = Submission.objects.get(interchange=file).batch_reference
    payer = status("A2:20", trace=claim.control_number, reference=reference)
    receive(partner, content(ack(file) if answer == "999" else payer))
    claim.refresh_from_db()
    assert claim.status == ("pending" if answer == "999" else "accepted")
    states = Submission.objects.filter(claim=claim).order_by("pk").values_list("status", flat=True)
    assert list(states) == [claim.status, "withdrawn"]


def test_a_claim_that_may_go_twice_is_told_of(partner: TradingPartner) -> None:
    claim, file = requeued(partner)
    second = sent_file(partner)
    Submission.objects.filter(claim=claim, status="queued").update(status="batched", interchange=second)
    receive(partner, content(ack(file)))
    assert Alert.objects.get(kind="claims_sent_twice").subject_id == str(claim.pk)
    assert stands(claim) == ("draft", "batched")


ANSWERS = ("ta1", "999", "house", "payer", "835")


def all_answers(claim: InsuranceClaim, file: Interchange, payers: str) -> dict[str, bytes]:
    payer = claim.patient_insurance.insurance_plan.provider.payer_id
    number = claim.control_number
    more = ["REF*1K*ICN1"] if payers == "A2:20" else []
    return {
        "ta1": content(head=[ta1(file)]),
        "999": content(ack(file)),
        "house": content(status("A1:20", trace=number, day="20261127")),
        "payer": content(status(payers, trace=number, source=f"PR*2*PAYER*****PI*{payer}", more=more)),
        "835": content(paid_835(claim)),
    }


ORDERS = [order for number, order in enumerate(itertools.permutations(ANSWERS)) if number % 17 == 0]


@pytest.mark.parametrize("payers", ["A2:20", "A7:507"])
def test_any_order_and_repetition_of_a_claims_answers_gives_the_same_end(partner: TradingPartner, payers: str) -> None:
    ends = set()
    for order in ORDERS:
        claim, file = sent_one(partner)
        answers = all_answers(claim, file, payers)
        for name in (*order, order[0], order[2]):
            receive(partner, answers[name])
        file.refresh_from_db()
        reference = claim.insurance_reference_number.replace(claim.claim_number, "")
        ends.add((*stands(claim), claim.paid_amount, reference, claim.denial_reason, file.status, file.ta1_code))
    assert len(ends) == 1, ends
    assert next(iter(ends))[:2] == ("paid", "adjudicated")


@pytest.mark.parametrize("payers", ["A2:20", "A7:507"])
def test_any_order_before_the_payment_gives_the_same_end(partner: TradingPartner, payers: str) -> None:
    ends = set()
    for order in list(itertools.permutations(ANSWERS[:4]))[::3]:
        claim, file = sent_one(partner)
        answers = all_answers(claim, file, payers)
        for name in order:
            receive(partner, answers[name])
        ends.add((*stands(claim), claim.denial_reason, claim.insurance_reference_number))
    assert len(ends) == 1, ends


def test_a_999_for_thousands_of_claims_takes_as_many_statements_as_one_for_two(
    partner: TradingPartner,
) -> None:
    counts = []
    for size in (2, 12):
        _, file = sent(partner, size)
        given = content(ack(file))
        with CaptureQueriesContext(connection) as queries:
            receive(partner, given)
        counts.append(len(queries))
    assert counts[0] == counts[1]
