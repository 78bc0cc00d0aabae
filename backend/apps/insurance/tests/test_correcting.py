"""Proves that a judged claim is followed by one that corrects it or takes it back, and that nothing is billed twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import correcting, scrubbing, services, submitting
from backend.apps.insurance.models import (
    ClaimLineAdjudication,
    InsuranceClaim,
    PartnerPayer,
    PatientInsurance,
    PriorAdjudication,
)
from backend.apps.insurance.tests.factories import (
    line,
    make_claim,
    make_patient_insurance,
    make_plan,
    ready_claim,
    rendering_doctor,
)
from backend.apps.insurance.tests.remittance_factories import make_posting
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def stored(claim: InsuranceClaim) -> InsuranceClaim:
    return InsuranceClaim.objects.get(pk=claim.pk)


def rules(claim: InsuranceClaim) -> set[str]:
    return {one.rule for one in scrubbing.scrub(claim)}


def queued(**over: Any) -> InsuranceClaim:
    return services.submit(ready_claim(**over), by=None)


def judged(status: str = "paid", **over: Any) -> InsuranceClaim:
    """Save a claim the payer has judged under its own number."""
    claim = ready_claim(**over)
    day = claim.service_date
    paid = {"paid_amount": 100, "payment_date": day} if status in {"paid", "appealed"} else {}
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        status=status, submission_date=day, insurance_reference_number="ICN1", denial_reason="CO 50", **paid
    )
    return stored(claim)


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


def test_services_billed_before_are_found_in_any_order_of_modifiers_and_warned_of_where_all_say_once_more() -> None:
    first = queued(procedure_codes=[line(modifiers=["25", "57"]), line("25.00", code="36415", modifiers=["59"])])
    assert rules(again_as(first, procedure_codes=[line(modifiers=["57", "25"])])) == {"billed-before"}
    assert rules(again_as(first, procedure_codes=[line("25.00", code="36415", modifiers=["59"])])) == {
        "billed-once-more"
    }
    assert rules(again_as(first, procedure_codes=[line("25.00", code="36415", modifiers=["91"])])) == set()


def again_as(first: InsuranceClaim, **over: Any) -> InsuranceClaim:
    """Save a draft that bills the services of `first` once more."""
    same = {"patient_insurance": first.patient_insurance, "rendering_doctor": first.rendering_doctor}
    return ready_claim(**same, **over)


def became(claim: InsuranceClaim, status: str, **over: Any) -> None:
    day = claim.service_date
    paid = {"paid_amount": 0, "payment_date": day} if status == "paid" else {}
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        status=status, submission_date=day, denial_reason="CO 50", **paid, **over
    )


@pytest.mark.parametrize(
    ("status", "found"),
    [("submitted", True), ("accepted", True), ("rejected", True), ("denied", True), ("paid", False)],
)
def test_services_may_be_billed_anew_once_the_payer_has_taken_the_claim_back_and_not_before(
    status: str, found: bool
) -> None:
    first = judged()
    again = again_as(first)
    became(correcting.void(first, by=None), status)
    assert ("billed-before" in rules(again)) == found


def test_services_may_be_billed_anew_once_the_payers_reversal_is_posted() -> None:
    first = judged()
    again, void = again_as(first), correcting.void(first, by=None)
    became(void, "submitted")
    make_posting(claim=first, amount=-100, is_reversal=True)
    assert rules(again) == {"billed-before"}  # and decided anew
    InsuranceClaim.objects.filter(pk=first.pk).update(status="accepted")
    assert rules(again) == set()
    became(void, "denied")
    assert rules(again) == {"billed-before"}


def test_a_correction_that_was_taken_back_leaves_nothing_of_its_original() -> None:
    first = judged()
    again, correction = again_as(first), correcting.correct(first, by=None)
    became(correction, "paid", insurance_reference_number="ICN2")
    make_posting(claim=first, amount=-100, is_reversal=True)
    InsuranceClaim.objects.filter(pk=first.pk).update(status="accepted")
    assert rules(again) == {"billed-before"}
    became(correcting.void(correction, by=None), "paid")
    assert rules(again) == set()


def test_what_is_denied_unpaid_where_no_corrections_are_taken_may_be_billed_anew() -> None:
    first = judged("denied")
    again = again_as(first)
    assert rules(again) == {"billed-before"}
    PartnerPayer.objects.update(takes_corrections=False)
    assert rules(again) == set()
    InsuranceClaim.objects.filter(pk=first.pk).update(paid_amount=1)
    assert rules(again) == {"billed-before"}


def test_what_is_denied_unpaid_on_paper_may_be_billed_anew_whatever_is_known_of_it() -> None:
    first = services.submit(make_claim(rendering_doctor=rendering_doctor()), by=None)
    services.deny(first, by=make_user("receptionist"), reason="Not covered")
    again = make_claim(patient_insurance=first.patient_insurance, rendering_doctor=first.rendering_doctor)
    with pytest.raises(DomainError, match="billed anew"):
        correcting.correct(stored(first), by=None)
    assert rules(again) == set()
    InsuranceClaim.objects.filter(pk=first.pk).update(insurance_reference_number="ICN1")
    assert rules(again) == set()
    InsuranceClaim.objects.filter(pk=first.pk).update(paid_amount=1)
    assert rules(again) == {"billed-before"}


def test_what_is_denied_unpaid_under_no_number_may_be_billed_anew_though_corrections_are_taken() -> None:
    first = judged("denied")
    InsuranceClaim.objects.filter(pk=first.pk).update(insurance_reference_number="")
    assert rules(again_as(first)) == set()


def test_what_is_being_corrected_is_not_billed_anew_nor_the_other_way_round() -> None:
    first = services.submit(make_claim(), by=None)
    services.deny(first, by=make_user("receptionist"), reason="Not covered", payer_claim_number="ICN1")
    again, correction = make_claim(patient_insurance=first.patient_insurance), correcting.correct(first, by=None)
    assert "billed-before" in rules(again)
    correction.delete()
    services.submit(again, by=None)
    with pytest.raises(DomainError, match="billed anew already"):
        correcting.correct(stored(first), by=None)


@pytest.mark.parametrize(
    ("verb", "form"), [("deny", {"reason": "Not covered"}), ("mark_as_paid", {"amount": "100.00"})]
)
def test_a_claim_on_paper_is_corrected_under_the_number_that_came_with_the_answer(verb: str, form: Any) -> None:
    claim = services.submit(make_claim(), by=None)
    url = f"/api/v1/insurance-claims/{claim.pk}"
    api = client_for(make_user("receptionist"))
    answer = api.post(f"{url}/{verb}/", {**form, "payer_claim_number": "ICN 7"}, format="json")
    assert (answer.status_code, answer.data["insurance_reference_number"]) == (200, "ICN 7")
    draft = api.post(f"{url}/correct/")
    assert draft.status_code == 200, draft.data
    assert services.submit(InsuranceClaim.objects.get(original=claim), by=None).status == "submitted"


def test_an_answer_without_the_payers_number_leaves_the_one_that_is_known() -> None:
    claim = services.submit(make_claim(), by=None)
    services.accept(claim, by=None, reference="ICN1")
    services.deny(claim, by=make_user("receptionist"), reason="Not covered")
    assert stored(claim).insurance_reference_number == "ICN1"


def test_a_service_billed_to_the_payer_under_another_coverage_of_the_patient_was_billed_before() -> None:
    first = queued()
    old = first.patient_insurance
    PatientInsurance.objects.filter(pk=old.pk).delete()  # and recorded once more
    anew = make_patient_insurance(patient=old.patient, insurance_plan=make_plan(provider=old.insurance_plan.provider))
    again = ready_claim(patient_insurance=anew, rendering_doctor=first.rendering_doctor)
    assert "billed-before" in rules(again)
    InsuranceClaim.objects.filter(pk=again.pk).update(secondary_to=first)
    assert "billed-before" not in rules(again)


@pytest.mark.parametrize("status", ["rejected", "denied"])
def test_a_claim_whose_taking_back_the_payer_refused_is_corrected_or_taken_back_again(status: str) -> None:
    claim = judged()
    became(first := correcting.void(claim, by=None), status)
    assert correcting.void(claim, by=None).frequency == "8"
    with pytest.raises(DomainError):
        services.reopen(stored(first), by=None)
    InsuranceClaim.objects.filter(original=claim, status="draft").delete()
    assert correcting.correct(claim, by=None).frequency == "7"


def test_what_follows_a_claim_stays_with_its_coverage_or_patient() -> None:
    claim = judged()
    other = make_patient_insurance()
    second = make_patient_insurance(patient=claim.patient_insurance.patient, priority=2)
    with pytest.raises(DomainError, match="coverage of the claim it follows"):
        services.change_claim(correcting.correct(claim, by=None), by=None, patient_insurance=second)
    secondary = ready_claim(patient_insurance=second, secondary_to=claim)
    with pytest.raises(DomainError, match="same patient"):
        services.change_claim(secondary, by=None, patient_insurance=other)
    third = make_patient_insurance(patient=second.patient, priority=3)
    assert services.change_claim(secondary, by=None, patient_insurance=third).patient_insurance == third


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


@pytest.mark.parametrize("by_file", [True, False])
def test_a_claim_is_taken_back_though_its_cover_turned_out_to_have_ended(by_file: bool) -> None:
    claim = judged()
    if not by_file:
        PartnerPayer.objects.all().delete()
    ended = {"termination_date": claim.service_date - timedelta(days=1)}
    PatientInsurance.objects.filter(pk=claim.patient_insurance_id).update(**ended)
    draft = services.submit(correcting.void(claim, by=None), by=None)
    assert draft.submissions.filter(status="queued").exists() is by_file
    assert stored(draft).status == ("draft" if by_file else "submitted")
