"""Proves the rules of billing against desks that click at the same moment, with real connections."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from backend.apps.insurance import services
from backend.apps.insurance.models import InsuranceClaim, PatientInsurance
from backend.apps.insurance.tests.factories import (
    line,
    make_claim,
    make_claim_in,
    make_patient_insurance,
    make_plan,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("_", range(5))
def test_two_primary_coverages_recorded_at_once_leave_one(_: int) -> None:
    patient, plan = make_patient(), make_plan()
    outcomes = at_once(*[lambda: make_patient_insurance(patient=patient, insurance_plan=plan)] * 4)
    refused = {"IntegrityError", "OperationalError"}  # PostgreSQL may see those who wait for each other as a deadlock
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", *refused}
    assert PatientInsurance.objects.filter(patient=patient).count() == 1


@pytest.mark.parametrize("_", range(5))
def test_a_claim_submitted_by_eight_at_once_is_submitted_once(_: int) -> None:
    claim = make_claim()
    copies = [InsuranceClaim.objects.get(pk=claim.pk) for _ in range(8)]
    outcomes = at_once(*(lambda copy=copy: services.submit(copy, by=None) for copy in copies))
    assert sorted(outcomes) == ["Conflict"] * 7 + ["done"]


@pytest.mark.parametrize("_", range(5))
def test_a_payment_recorded_by_eight_at_once_is_recorded_once(_: int) -> None:
    claim = make_claim_in("accepted")
    copies, by = [InsuranceClaim.objects.get(pk=claim.pk) for _ in range(8)], make_user("receptionist")
    outcomes = at_once(
        *(
            lambda copy=copy, n=n: services.mark_as_paid(copy, by=by, amount=Decimal(n), reference=f"EFT-{n}")
            for n, copy in enumerate(copies)
        )
    )
    assert sorted(outcomes) == ["Conflict"] * 7 + ["done"]
    row, winner = InsuranceClaim.objects.get(pk=claim.pk), outcomes.index("done")
    assert (row.paid_amount, row.payment_reference) == (winner, f"EFT-{winner}")


@pytest.mark.parametrize("_", range(5))
def test_a_draft_changed_while_it_is_submitted_is_submitted_whole(_: int) -> None:
    claim = make_claim()
    copies = [InsuranceClaim.objects.get(pk=claim.pk) for _ in range(2)]
    outcomes = at_once(
        lambda: services.submit(copies[0], by=None),
        lambda: services.change_claim(copies[1], by=None, diagnosis_codes=[], procedure_codes=[]),
    )
    row = InsuranceClaim.objects.get(pk=claim.pk)
    assert outcomes.count("done") == 1
    assert (row.status, len(row.procedure_codes)) in {("submitted", 2), ("draft", 0)}


@pytest.mark.parametrize("_", range(5))
def test_a_coverage_ended_while_its_claim_is_submitted_stops_it_or_comes_after(_: int) -> None:
    claim = make_claim(procedure_codes=[line()])
    last_day = claim.service_date - timedelta(days=1)
    coverage = PatientInsurance.objects.get(pk=claim.patient_insurance_id)
    outcomes = at_once(
        lambda: services.submit(claim, by=None),
        lambda: services.change_coverage(coverage, by=None, termination_date=last_day),
    )
    assert outcomes[1] == "done"
    assert InsuranceClaim.objects.get(pk=claim.pk).status == ("submitted" if outcomes[0] == "done" else "draft")
