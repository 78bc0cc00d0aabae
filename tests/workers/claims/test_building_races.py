"""Proves that a claim is in one file or none, whatever people do to it while files are made, with real connections."""

from __future__ import annotations

import pytest

from backend.apps.insurance import correcting, services, submitting
from backend.apps.insurance.models import InsuranceClaim, Interchange, Submission, TradingPartner
from backend.apps.insurance.models.submissions import LIVE
from backend.apps.insurance.tests import factories
from tests.support.queued_claims import queue, queued_claim
from tests.support.races import at_once
from workers.claims import building

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 4


@pytest.fixture
def partner() -> TradingPartner:
    factories.billing_entity(is_default=True)
    return factories.partner()


def stored(claim: InsuranceClaim) -> InsuranceClaim:
    return InsuranceClaim.objects.get(pk=claim.pk)


def turned_back(by: TradingPartner, **over: object) -> InsuranceClaim:
    """Save a claim that was refused unjudged."""
    claim = factories.ready_claim(partner=by, billing_entity=None, **over)
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        status="rejected", submission_date=claim.service_date, denial_reason="A7"
    )
    return stored(claim)


def test_a_claim_withdrawn_while_its_file_is_made_is_in_it_or_back_at_the_desk(partner: TradingPartner) -> None:
    for _ in range(ROUNDS):
        claim = queued_claim(partner)
        built, back = at_once(
            lambda: building.build(partner.pk), lambda claim=claim: submitting.withdraw(claim, by=None)
        )
        tried = Submission.objects.get(claim=claim)
        assert built == "done"
        assert (back, tried.status, tried.interchange_id is None) in {
            ("done", "withdrawn", True), ("DomainError", "batched", False),
        }  # fmt: skip
    assert Interchange.objects.count() == Submission.objects.filter(status="batched").count()


def test_a_claim_reopened_and_submitted_while_files_are_made_is_in_one(partner: TradingPartner) -> None:
    for _ in range(ROUNDS):
        claim = turned_back(partner)

        def send_again(claim: InsuranceClaim = claim) -> None:
            row = services.reopen(stored(claim), by=None)
            services.submit(row, by=None)

        outcomes = at_once(send_again, send_again, *[lambda: building.build(partner.pk)] * 2)
        assert outcomes[:2].count("done") == 1
        building.build(partner.pk)
        assert Submission.objects.filter(claim=claim, status__in=LIVE).count() == 1
        assert [row.status for row in claim.submissions.exclude(interchange=None)] == ["batched"]


def test_a_claim_is_followed_once_whoever_corrects_it_takes_it_back_or_reopens_an_earlier_follower(
    partner: TradingPartner,
) -> None:
    for _ in range(ROUNDS):
        claim = queue(factories.ready_claim(partner=partner, billing_entity=None), partner)
        building.build(partner.pk)
        paid = {"status": "paid", "paid_amount": 1, "payment_date": claim.service_date}
        InsuranceClaim.objects.filter(pk=claim.pk).update(
            submission_date=claim.service_date, insurance_reference_number="ICN1", **paid
        )
        old = turned_back(partner, patient_insurance=claim.patient_insurance, frequency="7", original=claim)
        one, two = stored(claim), stored(claim)
        outcomes = at_once(
            lambda one=one: correcting.correct(one, by=None),
            lambda two=two: correcting.void(two, by=None),
            lambda old=old: services.reopen(old, by=None),
            lambda: building.build(partner.pk),
        )
        assert sorted(outcomes) == ["DomainError", "DomainError", "done", "done"]
        assert outcomes[3] == "done"
        assert InsuranceClaim.objects.filter(original=claim, status="draft").count() == 1
