"""Proves that claims stand in line once and clean, stay frozen there, come back, and are corrected once judged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core.exceptions import DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.insurance import correcting, scrubbing, services, submitting
from backend.apps.insurance.models import (
    ClaimLineAdjudication,
    InsuranceClaim,
    Interchange,
    PartnerPayer,
    PriorAdjudication,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.tests.factories import line, make_claim, make_patient_insurance, partner, ready_claim, route

pytestmark = pytest.mark.django_db


def stored(claim: InsuranceClaim) -> InsuranceClaim:
    return InsuranceClaim.objects.get(pk=claim.pk)


def rules(claim: InsuranceClaim) -> set[str]:
    return {one.rule for one in scrubbing.scrub(claim)}


def queued(**over: Any) -> InsuranceClaim:
    return services.submit(ready_claim(**over), by=None)


def in_a_file(claim: InsuranceClaim, status: str) -> None:
    """Let the claim's try stand in a file of its partner."""
    sent = claim.submissions.get()
    file = Interchange.objects.create(
        partner=sent.partner, interchange_number=1, group_number=1, file_name="1.x12", content=b"ISA", size_bytes=3
    )
    Submission.objects.filter(pk=sent.pk).update(status=status, interchange=file)


def judged(status: str = "paid", **over: Any) -> InsuranceClaim:
    """Save a claim the payer has judged under its own number."""
    claim = ready_claim(**over)
    day = claim.service_date
    paid = {"paid_amount": 100, "payment_date": day} if status in {"paid", "appealed"} else {}
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        status=status, submission_date=day, insurance_reference_number="ICN1", denial_reason="CO 50", **paid
    )
    return stored(claim)


def test_a_claim_of_the_factory_has_no_finding_as_it_is_stored() -> None:
    assert scrubbing.scrub(ready_claim()) == []


def test_a_clean_claim_waits_for_the_next_file_and_is_no_more_than_a_draft() -> None:
    with_partner = partner()
    claim = queued(partner=with_partner)
    sent = claim.submissions.get()
    assert (claim.status, sent.status, sent.partner, sent.frequency) == ("draft", "queued", with_partner, "1")


@pytest.mark.parametrize(
    "unreached",
    [
        lambda: PartnerPayer.objects.update(is_active=False),
        lambda: TradingPartner.objects.update(is_active=False),
        lambda: PartnerPayer.objects.update(is_deleted=True, deleted_at="2026-01-01T00:00Z"),
    ],
)
def test_a_claim_that_no_partner_reaches_is_submitted_at_once(unreached: Any) -> None:
    claim = ready_claim()
    unreached()
    assert services.submit(claim, by=None).status == "submitted"
    assert not Submission.objects.exists()


def test_errors_keep_a_claim_here_and_are_told_with_the_refusal() -> None:
    claim = ready_claim(
        procedure_codes=[line(modifiers=["25"], units=1)], place_of_service="98", prior_authorization=""
    )
    with pytest.raises(scrubbing.HasErrors, match="place of service") as refusal:
        services.submit(claim, by=None)
    assert [one["rule"] for one in refusal.value.details()["findings"]] == ["place-unknown"]
    assert not Submission.objects.exists()


def test_warnings_let_a_claim_go() -> None:
    claim = ready_claim(place_of_service="02")
    assert rules(claim) == {"telehealth-modifier"}
    assert services.submit(claim, by=None).submissions.count() == 1


def test_a_claim_stands_in_line_once() -> None:
    claim = queued()
    with pytest.raises(DomainError, match="on its way"):
        services.submit(claim, by=None)
    assert claim.submissions.count() == 1


def test_a_claim_in_line_is_frozen_until_it_is_withdrawn() -> None:
    claim = queued()
    with pytest.raises(DomainError, match="Withdraw it first"):
        services.change_claim(claim, by=None, note="later")
    with pytest.raises(DomainError, match="Withdraw it first"):
        claim.delete()
    submitting.withdraw(claim, by=None)
    services.change_claim(claim, by=None, note="later")
    services.submit(claim, by=None)
    assert sorted(claim.submissions.values_list("status", flat=True)) == ["queued", "withdrawn"]


def test_a_claim_that_stands_in_a_file_or_nowhere_is_not_withdrawn() -> None:
    claim = ready_claim()
    with pytest.raises(DomainError, match="not in line"):
        submitting.withdraw(claim, by=None)
    services.submit(claim, by=None)
    in_a_file(claim, "batched")
    with pytest.raises(DomainError, match="in a file already"):
        submitting.withdraw(claim, by=None)


def test_a_submitted_claim_is_not_submitted_again_by_a_partner() -> None:
    claim = ready_claim()
    InsuranceClaim.objects.filter(pk=claim.pk).update(status="submitted", submission_date=claim.service_date)
    with pytest.raises(IllegalTransition):
        services.submit(stored(claim), by=None)


def test_of_many_each_is_told_what_became_of_it_for_the_same_number_of_statements() -> None:
    clean, bad, twice = ready_claim(), ready_claim(place_of_service="98"), queued()
    paper, unfinished = make_claim(), make_claim(diagnosis_codes=[], procedure_codes=[])
    asked = [bad, clean, twice, paper, unfinished]
    told = submitting.submit_each(asked, by=None)
    assert [one.id for one in told] == [claim.pk for claim in asked]
    assert [one.outcome for one in told] == ["refused", "queued", "refused", "submitted", "refused"]
    assert [bool(one.reason) for one in told] == [True, False, True, False, True]
    assert [stored(claim).status for claim in asked] == ["draft", "draft", "draft", "submitted", "draft"]
    few, many = [ready_claim() for _ in range(2)], [ready_claim() for _ in range(8)]
    with CaptureQueriesContext(connection) as two:
        submitting.submit_each(few, by=None)
    with CaptureQueriesContext(connection) as eight:
        submitting.submit_each(many, by=None)
    assert len(two) == len(eight)
    assert Submission.objects.filter(claim__in=many, status="queued").count() == 8


def test_a_service_billed_before_is_found_unless_it_is_another_one_or_was_taken_back() -> None:
    first = queued()
    same = {"patient_insurance": first.patient_insurance, "rendering_doctor": first.rendering_doctor}
    assert rules(ready_claim(**same)) == {"billed-before"}
    meant = [line(modifiers=["76"]), line("25.00", code="36415", modifiers=["59"])]
    assert rules(ready_claim(**same, procedure_codes=meant)) == set()
    assert rules(ready_claim(**same, service_date=first.service_date - timedelta(days=1))) == set()
    assert rules(ready_claim(patient_insurance=first.patient_insurance)) == set()  # by another doctor
    submitting.withdraw(first, by=None)
    assert rules(ready_claim(**same)) == set()


def test_a_claim_that_was_taken_back_at_the_payer_may_be_billed_anew() -> None:
    first = judged()
    same = {"patient_insurance": first.patient_insurance, "rendering_doctor": first.rendering_doctor}
    again = ready_claim(**same)
    assert rules(again) == {"billed-before"}
    taken_back = correcting.void(first, by=None)
    InsuranceClaim.objects.filter(pk=taken_back.pk).update(status="submitted", submission_date=first.service_date)
    assert rules(again) == set()


@pytest.mark.parametrize(("follow", "frequency"), [(correcting.correct, "7"), (correcting.void, "8")])
def test_a_judged_claim_is_followed_by_a_draft_with_its_content_and_the_payers_number(
    follow: Any, frequency: str
) -> None:
    claim = judged(prior_authorization="A-1")
    draft = follow(claim, by=None)
    assert (draft.status, draft.frequency, draft.original, draft.control_number) == ("draft", frequency, claim, "")
    assert draft.claim_number != claim.claim_number
    assert (draft.procedure_codes, draft.prior_authorization) == (claim.procedure_codes, "A-1")
    assert draft.lines.count() == claim.lines.count()
    assert scrubbing.scrub(draft) == []
    services.submit(draft, by=None)
    sent = draft.submissions.get()
    assert (sent.frequency, sent.original_reference) == (frequency, "ICN1")
    assert stored(claim).status == "paid"


def test_what_an_earlier_payer_decided_goes_with_the_correction() -> None:
    claim = judged()
    prior = PriorAdjudication.objects.create(
        claim=claim,
        coverage=make_patient_insurance(patient=claim.patient_insurance.patient, priority=2),
        paid=100,
        adjudicated_on=claim.service_date,
        adjustments=[["PR", "1", "50.00", None]],
    )
    ClaimLineAdjudication.objects.create(prior=prior, number=1, paid=100, code="99213", units=1)
    draft = correcting.correct(claim, by=None)
    copied = draft.prior_adjudications.get()
    assert (copied.paid, copied.adjustments, copied.lines.get().code) == (100, prior.adjustments, "99213")


def test_a_claim_the_payer_never_judged_is_not_corrected() -> None:
    with pytest.raises(DomainError, match="reopened"):
        correcting.correct(judged("rejected"), by=None)
    unnumbered = judged()
    InsuranceClaim.objects.filter(pk=unnumbered.pk).update(insurance_reference_number="")
    with pytest.raises(DomainError, match="own number"):
        correcting.void(unnumbered, by=None)


def test_a_payer_that_takes_no_corrections_is_not_sent_one() -> None:
    claim = judged()
    PartnerPayer.objects.update(takes_corrections=False)
    with pytest.raises(DomainError, match="no corrected claims"):
        correcting.correct(claim, by=None)


def test_a_claim_is_followed_once_until_the_payer_turns_the_follower_back() -> None:
    claim = judged("denied")
    draft = correcting.correct(claim, by=None)
    with pytest.raises(DomainError, match="already"):
        correcting.void(claim, by=None)
    InsuranceClaim.objects.filter(pk=draft.pk).update(
        status="rejected", submission_date=claim.service_date, denial_reason="A7"
    )
    assert correcting.void(claim, by=None).frequency == "8"


def test_a_claim_that_takes_back_repeats_what_was_and_is_not_changed() -> None:
    draft = correcting.void(judged(), by=None)
    with pytest.raises(DomainError, match="as it was"):
        services.change_claim(draft, by=None, procedure_codes=[line("1.00")])


def test_a_reopened_claim_is_sent_again_and_waits_for_no_answer_to_the_first_try() -> None:
    claim = queued()
    in_a_file(claim, "sent")
    InsuranceClaim.objects.filter(pk=claim.pk).update(status="submitted", submission_date=Clinic.today())
    services.reject(claim := stored(claim), by=None, reason="Unknown member")
    services.reopen(claim, by=None)
    services.submit(claim, by=None)
    assert sorted(claim.submissions.values_list("status", flat=True)) == ["queued", "rejected"]


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"accident": "OA"}, "accident_on"),
        ({"accident": "AA", "accident_on": "2026-01-01"}, "accident_state"),
        ({"procedure_codes": [line(rendering_doctor="0199c0de-0000-7000-8000-000000000001")]}, "procedure_codes"),
    ],
)
def test_a_claim_that_contradicts_itself_is_refused_by_field(over: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        services.write_claim(
            by=None,
            patient_insurance=make_patient_insurance(),
            service_date=Clinic.today(),
            **{"diagnosis_codes": ["E11.9"], "procedure_codes": [line()], **over},
        )
    assert field in refusal.value.message_dict


def test_a_refusal_shows_three_messages_and_how_many_more_there_are() -> None:
    claim = ready_claim(place_of_service="98")
    claim.billing_entity.npi = claim.billing_entity.address_line1 = claim.billing_entity.city = ""
    type(claim.billing_entity).objects.filter(pk=claim.billing_entity_id).update(npi="", city="", postal_code="12207")
    with pytest.raises(scrubbing.HasErrors, match="And 1 more"):
        services.submit(claim, by=None)


def test_another_way_to_the_payer_does_not_count_while_its_partner_is_gone() -> None:
    claim = ready_claim()
    TradingPartner.objects.update(is_active=False)
    PartnerPayer.objects.update(is_active=False)
    route(provider=claim.patient_insurance.insurance_plan.provider)
    assert services.submit(claim, by=None).submissions.count() == 1
