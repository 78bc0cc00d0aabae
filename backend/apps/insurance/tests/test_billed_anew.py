"""Proves that services leave once more by a correction or by a new claim, never by both, and that one of them can."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import correcting, services
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.insurance.tests.factories import make_claim
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
