"""A file that was given up or turned back may have arrived: its claims go once, and no other file counts as sent."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges, services, submitting
from backend.apps.insurance.models import InboundFile, InsuranceClaim, Interchange, Submission, TradingPartner
from backend.apps.insurance.tests.factories import make_claim
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import sent_file
from tests.workers.claims.answers import (
    NAMED,
    ack,
    content,
    errors,
    paid_835,
    receive,
    refused_beside,
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


def given_up(partner: TradingPartner) -> tuple[InsuranceClaim, Interchange]:
    """Return a claim that is in line again, and its file, of which a person says that it never arrived."""
    claim, file = sent_one(partner)
    interchanges.mark_not_received(file, by=None)
    file.refresh_from_db()
    claim.refresh_from_db()
    return claim, file


def states(claim: InsuranceClaim) -> list[str]:
    return list(Submission.objects.filter(claim=claim).order_by("pk").values_list("status", flat=True))


NEXT: dict[str, dict[str, Any]] = {
    "staged": {"status": "staged", "lease_no": 1},
    "taken by a worker": {"lease_no": 1},
    "waiting": {},
}


@pytest.mark.parametrize("how", NEXT)
@pytest.mark.parametrize("answer", ["835", "277CA"])
def test_an_answer_to_a_file_that_was_given_up_marks_the_next_one_as_nothing(
    partner: TradingPartner, answer: str, how: str
) -> None:
    claim, _ = given_up(partner)
    stranger = make_claim()
    second = sent_file(partner, stranger, state="batched", **NEXT[how])
    Submission.objects.filter(claim=claim, status="queued").update(status="batched", interchange=second)
    theirs = status("A2:20", trace=claim.control_number, reference="THEIR-OWN")
    receive(partner, content(paid_835(claim) if answer == "835" else theirs))
    second.refresh_from_db()
    assert (second.status, second.status_reason) == (NEXT[how].get("status", "ready"), "")
    assert (stands(stranger), stands(claim)) == (("draft", "batched"), ("draft", "batched"))
    assert Alert.objects.get().kind == "claims_sent_twice"


@pytest.mark.parametrize("answer", ["835", "277CA"])
def test_a_file_is_proven_by_what_is_said_of_a_claim_that_went_in_no_other_one(
    partner: TradingPartner, answer: str
) -> None:
    claim, _ = given_up(partner)
    other = make_claim()
    second = sent_file(partner, other, state="batched", status="staged")
    Submission.objects.filter(claim=claim, status="queued").update(status="batched", interchange=second)
    receive(partner, content(paid_835(other) if answer == "835" else status("A2:20", trace=other.control_number)))
    second.refresh_from_db()
    assert (second.status, second.status_reason) == ("sent", answer)
    assert stands(claim) == ("submitted", "sent")


@pytest.mark.parametrize(("reason", "proven"), [(interchanges.AGAIN, "sent"), ("", "ready")])
def test_a_file_that_is_sent_again_may_have_arrived_the_first_time(
    partner: TradingPartner, reason: str, proven: str
) -> None:
    file = sent_file(partner, make_claim(), state="batched", status_reason=reason, lease_no=2)
    receive(partner, content(head=[ta1(file)]))
    file.refresh_from_db()
    assert file.status == proven


ARRIVED = {"TA1 A": "submitted", "TA1 E": "submitted", "TA1 025": "submitted", "835": "paid"}


@pytest.mark.parametrize("answer", ARRIVED)
def test_what_proves_that_a_file_arrived_takes_its_claims_out_of_the_line(partner: TradingPartner, answer: str) -> None:
    claim, file = given_up(partner)
    Interchange.objects.filter(pk=file.pk).update(status_reason=interchanges.AGAIN)
    answers = {
        "TA1 A": content(head=[ta1(file)]),
        "TA1 E": content(head=[ta1(file, "E", "001")]),
        "TA1 025": content(head=[ta1(file, "R", "025")]),
        "835": content(paid_835(claim)),
    }
    assert receive(partner, answers[answer]).status == "applied"
    claim.refresh_from_db()
    assert claim.status == ARRIVED[answer]
    assert states(claim) == ["adjudicated" if answer == "835" else "sent", "withdrawn"]
    assert not Alert.objects.filter(kind="claims_sent_twice").exists()


def test_a_file_that_is_refused_by_its_number_takes_no_claim_out_of_the_line(partner: TradingPartner) -> None:
    claim, file = given_up(partner)
    receive(partner, content(head=[ta1(file, "R", "023")]))
    assert states(claim) == ["requeued", "queued"]


LATER = {"999": True, "277CA": True, "277CA of the payer": True, "TA1": False}


@pytest.mark.parametrize("answer", LATER)
def test_a_claim_whose_file_was_turned_back_and_then_taken_in_is_told_of(partner: TradingPartner, answer: str) -> None:
    claim, file = sent_one(partner)
    receive(partner, content(head=[ta1(file, "R", "025")]))
    assert stands(claim) == ("draft", "rejected")
    number = claim.control_number
    answers = {
        "999": content(ack(file)),
        "277CA": content(status("A1:20", trace=number)),
        "277CA of the payer": content(status("A2:20", trace=number, more=["REF*1K*ICN1"])),
        "TA1": content(head=[ta1(file, "R", "025")]),
    }
    for _ in range(2):
        receive(partner, answers[answer])
    told = Alert.objects.filter(kind="claims_sent_twice")
    assert [(one.subject_id, "do not send it again" in one.sentence) for one in told] == (
        [(str(claim.pk), True)] if LATER[answer] else []
    )
    assert stands(claim) == ("draft", "rejected")


def test_a_claim_that_was_taken_out_of_the_line_is_told_of_when_its_first_file_arrived(partner: TradingPartner) -> None:
    claim, file = given_up(partner)
    submitting.withdraw(claim, by=None)
    receive(partner, content(ack(file)))
    assert Alert.objects.get(kind="claims_sent_twice").subject_id == str(claim.pk)


def test_a_receipt_that_comes_after_the_refusal_that_it_led_to_is_no_news(partner: TradingPartner) -> None:
    claim, file = sent_one(partner)
    receive(partner, content(status("A7:507", trace=claim.control_number)))
    claim.refresh_from_db()
    services.reopen(claim, by=None)
    receive(partner, content(ack(file)))
    receive(partner, content(status("A1:20", trace=claim.control_number)))
    assert not Alert.objects.exists()


def test_an_answer_to_a_file_that_never_left_counts_where_a_person_finds_that_it_did(partner: TradingPartner) -> None:
    claim = make_claim()
    file = sent_file(partner, claim, state="batched")
    received = receive(partner, content(status("A2:20", trace=claim.control_number)))
    assert (received.status, stands(claim)) == ("partly", ("draft", "batched"))
    interchanges.mark_received(file, by=None)
    InboundFile.objects.filter(pk=received.pk).update(work_state="waiting", status="received")
    reading.read_due()
    received.refresh_from_db()
    assert (received.status, stands(claim)) == ("applied", ("accepted", "accepted"))


ORDERS = [("999 R", "TA1 A"), ("999 R", "TA1 E"), ("TA1 A", "999 R", "TA1 A"), ("999 A", "999 R", "999 A")]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("state", ["queued", "batched"])
def test_a_receipt_read_after_the_refusal_takes_no_neighbour_out_of_the_line(
    partner: TradingPartner, order: tuple[str, ...], state: str
) -> None:
    claim, file = sent_one(partner)
    beside = refused_beside(partner, claim, file)
    answers = {
        "999 R": lambda: beside,
        "999 A": lambda: content(ack(file)),
        "TA1 A": lambda: content(head=[ta1(file)]),
        "TA1 E": lambda: content(head=[ta1(file, "E", "001")]),
    }
    for one in order[:-1]:
        receive(partner, answers[one]())
    assert (stands(claim), states(claim)) == (("draft", "queued"), ["requeued", "queued"])
    if state == "batched":
        second = sent_file(partner, status="staged")
        Submission.objects.filter(claim=claim, status="queued").update(status="batched", interchange=second)
    receive(partner, answers[order[-1]]())
    assert (stands(claim), states(claim)) == (("draft", state), ["requeued", state])
    assert not Alert.objects.filter(kind="claims_sent_twice").exists()


def test_a_neighbour_of_a_refused_claim_that_a_later_stage_took_in_is_taken_out_of_the_line(
    partner: TradingPartner,
) -> None:
    claim, file = sent_one(partner)
    receive(partner, refused_beside(partner, claim, file))
    receive(partner, content(status("A2:20", trace=claim.control_number)))
    claim.refresh_from_db()
    assert (claim.status, states(claim)) == ("accepted", ["accepted", "withdrawn"])


def turned_back(partner: TradingPartner, how: str) -> InsuranceClaim:
    """Return a claim whose first file was refused, so that no payer has it, and that is a draft again."""
    claim, file = sent_one(partner)
    answers = {
        "999 beside it": refused_beside(partner, claim, file),
        "999": content(ack(file, "R", *errors(NAMED, place=9, number=claim.control_number))),
        "TA1": content(head=[ta1(file, "R", "023")]),
    }
    receive(partner, answers[how])
    claim.refresh_from_db()
    return services.reopen(claim, by=None) if how == "999" else claim


def next_file(partner: TradingPartner, claim: InsuranceClaim, **over: Any) -> Interchange:
    """Return the file that a claim goes in next."""
    Submission.objects.filter(claim=claim, status="queued").update(status="withdrawn")
    return sent_file(partner, claim, state="batched", **over)


@pytest.mark.parametrize("how", ["999 beside it", "999", "TA1"])
def test_a_payment_proves_the_file_that_followed_one_that_was_turned_back(partner: TradingPartner, how: str) -> None:
    claim = turned_back(partner, how)
    second = next_file(partner, claim, status="in_doubt", work_state="held")
    assert receive(partner, content(paid_835(claim))).status == "applied"
    second.refresh_from_db()
    claim.refresh_from_db()
    assert (second.status, claim.status) == ("sent", "paid")
    assert not Alert.objects.filter(kind="claims_sent_twice").exists()


def test_a_payment_proves_no_file_where_the_first_one_was_taken_in_after_all(partner: TradingPartner) -> None:
    claim = turned_back(partner, "TA1")
    first = Interchange.objects.get(submissions__claim=claim)
    second = next_file(partner, claim, status="in_doubt", work_state="held")
    receive(partner, content(ack(first)))
    receive(partner, content(paid_835(claim)))
    second.refresh_from_db()
    assert (second.status, stands(claim)) == ("in_doubt", ("draft", "batched"))


def test_a_payment_that_another_partner_brings_tells_of_no_first_file_that_was_turned_back(
    partner: TradingPartner,
) -> None:
    claim = turned_back(partner, "999 beside it")
    next_file(partner, claim, status="in_doubt", work_state="held")
    receive(make_partner(), content(paid_835(claim)))
    assert not Alert.objects.filter(kind="claims_sent_twice").exists()


def test_a_payment_of_a_claim_that_waits_here_is_of_the_try_that_was_turned_back(partner: TradingPartner) -> None:
    claim = turned_back(partner, "999 beside it")
    receive(partner, content(paid_835(claim)))
    claim.refresh_from_db()
    assert (claim.status, states(claim)) == ("paid", ["adjudicated", "withdrawn"])
