"""Proves that services leave once more by a correction or by a new claim, never by both, and that one of them can."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import correcting, scrubbing, services, submitting
from backend.apps.insurance.models import InsuranceClaim, Submission
from backend.apps.insurance.tests.factories import line, make_claim, rendering_doctor, route
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def stored(claim: InsuranceClaim) -> InsuranceClaim:
    return InsuranceClaim.objects.get(pk=claim.pk)


def denied(claim: InsuranceClaim, number: str = "") -> InsuranceClaim:
    """Return a claim on paper, submitted and denied, perhaps with the payer's number."""
    services.submit(claim, by=None)
    services.deny(claim, by=make_user("receptionist"), reason="Not covered", payer_claim_number=number)
    return stored(claim)


def anew(first: InsuranceClaim, **over: Any) -> InsuranceClaim:
    """Save a new claim with the services of another one."""
    return make_claim(patient_insurance=first.patient_insurance, rendering_doctor=first.rendering_doctor, **over)


def sent() -> set[Any]:
    """Return the claims that are with the payer and not denied."""
    return set(InsuranceClaim.objects.filter(status="submitted").values_list("pk", flat=True))


def test_a_claim_paid_on_paper_is_corrected_once_its_number_is_noted() -> None:
    claim = services.submit(make_claim(), by=None)
    services.mark_as_paid(claim, by=make_user("receptionist"), amount=100)
    with pytest.raises(DomainError, match="Note it first") as refusal:
        correcting.correct(stored(claim), by=None)
    assert "anew" not in str(refusal.value)
    api, url = client_for(make_user("receptionist")), f"/api/v1/insurance-claims/{claim.pk}/note_payer_number/"
    assert api.post(url, {"payer_claim_number": ""}).status_code == 400
    answer = api.post(url, {"payer_claim_number": "ICN 7"})
    assert (answer.status_code, answer.data["insurance_reference_number"], answer.data["status"]) == (
        200, "ICN 7", "paid",
    )  # fmt: skip
    assert api.post(url, {"payer_claim_number": "ICN 8"}).status_code == 422
    assert (stored(claim).insurance_reference_number, stored(claim).paid_amount) == ("ICN 7", 100)
    assert correcting.correct(stored(claim), by=None).frequency == "7"


@pytest.mark.parametrize("status", ["draft", "submitted", "pending", "rejected"])
def test_the_payers_number_is_noted_only_of_what_it_has_taken_in(status: str) -> None:
    claim = make_claim(status=status, denial_reason="Unknown" if status == "rejected" else "")
    with pytest.raises(DomainError, match="with its answer"):
        services.note_payer_number(claim, by=None, payer_claim_number="ICN1")
    assert stored(claim).insurance_reference_number == ""


def test_a_denied_correction_whose_number_is_noted_later_is_corrected_itself() -> None:
    first = denied(make_claim(), "ICN1")
    second = denied(correcting.correct(first, by=None))
    with pytest.raises(DomainError, match="billed anew"):
        correcting.correct(second, by=None)
    services.note_payer_number(second, by=None, payer_claim_number="ICN2")
    assert correcting.correct(second, by=None).original == second


def test_a_rejected_correction_is_not_reopened_once_its_services_were_billed_anew() -> None:
    first = denied(make_claim(), "ICN1")
    correction = services.submit(correcting.correct(first, by=None), by=None)
    services.reject(correction, by=None, reason="Unknown member")
    again = services.submit(anew(first), by=None)
    with pytest.raises(DomainError, match="billed anew already"):
        services.reopen(stored(correction), by=None)
    services.reject(again, by=None, reason="Unknown member")
    services.reopen(stored(correction), by=None)
    with pytest.raises(scrubbing.HasErrors, match="billed to this payer already"):
        services.submit(services.reopen(stored(again), by=None), by=None)
    assert services.submit(stored(correction), by=None).status == "submitted"
    assert sent() == {correction.pk}


def test_a_denied_correction_is_not_corrected_once_its_services_were_billed_anew() -> None:
    first = denied(make_claim(), "ICN1")
    second = denied(correcting.correct(first, by=None), "ICN2")
    again = services.submit(anew(first), by=None)
    with pytest.raises(DomainError, match="billed anew already"):
        correcting.correct(second, by=None)
    InsuranceClaim.objects.filter(pk=again.pk).update(status="denied", denial_reason="Not covered")
    third = services.submit(correcting.correct(stored(second), by=None), by=None)
    assert sent() == {third.pk}


def test_a_denied_correction_that_changed_its_lines_stands_for_those_of_the_first_claim_too() -> None:
    first = denied(make_claim(procedure_codes=[line()]), "ICN1")
    draft = correcting.correct(first, by=None)
    services.change_claim(draft, by=None, procedure_codes=[line(code="99214")])
    second = denied(stored(draft), "ICN2")
    services.submit(anew(first, procedure_codes=[line()]), by=None)
    with pytest.raises(DomainError, match="billed anew already"):
        correcting.correct(second, by=None)


def test_a_correction_bills_no_service_that_another_claim_bills() -> None:
    first = denied(make_claim(procedure_codes=[line()]), "ICN1")
    draft = correcting.correct(first, by=None)
    other = services.submit(anew(first, procedure_codes=[line(code="99214")]), by=None)
    services.change_claim(draft, by=None, procedure_codes=[line(code="99214")])
    (told,) = submitting.submit_each([draft], by=None)
    assert told.outcome == "refused"
    assert "billed-before" in {one.rule for one in told.findings}
    assert sent() == {other.pk}


def test_what_a_paid_correction_leaves_out_is_billed_anew_and_the_rest_corrected_again() -> None:
    first = denied(make_claim(), "ICN1")
    draft = correcting.correct(first, by=None)
    services.change_claim(draft, by=None, procedure_codes=[line()])
    services.submit(draft, by=None)
    services.mark_as_paid(draft, by=make_user("receptionist"), amount=50, payer_claim_number="ICN2")
    rest = services.submit(anew(first, procedure_codes=[line("25.00", code="36415")]), by=None)
    again = services.submit(correcting.correct(stored(draft), by=None), by=None)
    assert sent() == {rest.pk, again.pk}


def paid_anew() -> tuple[InsuranceClaim, InsuranceClaim]:
    """Return a denied claim whose number became known, and takes corrections now, after it was billed anew and paid."""
    first = denied(make_claim(rendering_doctor=rendering_doctor()))
    again = services.submit(anew(first), by=None)
    services.mark_as_paid(again, by=make_user("receptionist"), amount=50, payer_claim_number="ICN2")
    route(provider=first.patient_insurance.insurance_plan.provider)
    services.note_payer_number(first, by=None, payer_claim_number="ICN1")
    return stored(first), stored(again)


def test_what_was_billed_anew_and_paid_is_corrected_though_the_first_claim_can_be_by_now() -> None:
    first, again = paid_anew()
    correction = services.submit(correcting.correct(again, by=None), by=None)
    assert Submission.objects.get().claim == correction
    with pytest.raises(DomainError, match="billed anew already"):
        correcting.correct(first, by=None)


def test_what_was_billed_anew_is_not_corrected_beside_a_correction_of_the_first_claim() -> None:
    first, again = paid_anew()
    anew(first, frequency="7", original=first)
    with pytest.raises(scrubbing.HasErrors, match="billed to this payer already"):
        services.submit(correcting.correct(again, by=None), by=None)
