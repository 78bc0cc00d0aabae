"""Proves the rules of billing against desks that click at the same moment, with real connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from backend.apps.insurance import correcting, priors, services, submitting
from backend.apps.insurance.models import InsuranceClaim, PatientInsurance, PriorAdjudication, Submission
from backend.apps.insurance.tests.factories import (
    line,
    make_claim,
    make_claim_in,
    make_patient_insurance,
    make_plan,
    make_prior_adjudication,
    ready_claim,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once, wait_until_waited_for

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


@pytest.mark.parametrize("by_file", [True, False])
def test_a_draft_submitted_while_an_equal_one_is_stays_here(by_file: bool) -> None:
    first = ready_claim() if by_file else make_claim()
    second, is_first = equal(first), threading.Event()

    def submit_slowly() -> None:
        with transaction.atomic():
            services.submit(first, by=None)
            is_first.set()
            wait_until_waited_for()

    def submit_behind() -> None:
        is_first.wait(30)
        services.submit(second, by=None)

    assert at_once(submit_slowly, submit_behind) == ["done", "HasErrors"]
    assert set(Submission.objects.values_list("claim", flat=True)) == ({first.pk} if by_file else set())
    assert InsuranceClaim.objects.get(pk=second.pk).status == "draft"


@pytest.mark.parametrize(
    ("changed", "one", "of_many"), [("moved", "done", "submitted"), ("deleted", "Conflict", "refused")]
)
def test_a_draft_moved_or_deleted_while_it_is_submitted_is_submitted_as_it_is_by_then(
    changed: str, one: str, of_many: str
) -> None:
    claims, locked = [make_claim(), make_claim()], threading.Event()
    told: list[submitting.Submitted] = []

    def change_slowly(claim: InsuranceClaim) -> None:
        cover = make_patient_insurance()
        with transaction.atomic():
            if changed == "moved":
                services.change_claim(claim, by=None, patient_insurance=cover)
            else:
                claim.delete()
            locked.set()
            wait_until_waited_for()

    def behind(job: Callable[[], object]) -> None:
        locked.wait(30)
        job()

    first, second = (InsuranceClaim.objects.get(pk=claim.pk) for claim in claims)
    jobs: list[tuple[InsuranceClaim, Callable[[], object]]] = [
        (claims[0], lambda: services.submit(first, by=None)),
        (claims[1], lambda: told.extend(submitting.submit_each([second], by=None))),
    ]
    outcomes = []
    for claim, job in jobs:
        outcomes.append(at_once(lambda claim=claim: change_slowly(claim), lambda job=job: behind(job)))
        locked.clear()
    assert outcomes == [["done", one], ["done", "done"]]
    assert [(each.id, each.outcome) for each in told] == [(second.pk, of_many)]


def test_lists_of_equal_drafts_submitted_at_once_bill_their_services_once() -> None:
    firsts = [ready_claim() for _ in range(3)]
    lists = [firsts, [equal(first) for first in reversed(firsts)], [equal(first) for first in firsts]]
    told: list[submitting.Submitted] = []
    outcomes = at_once(*(lambda some=some: told.extend(submitting.submit_each(some, by=None)) for some in lists))
    assert outcomes == ["done"] * 3
    assert sorted(one.outcome for one in told) == ["queued"] * 3 + ["refused"] * 6
    assert set(Submission.objects.values_list("claim__patient_insurance", flat=True)) == {
        first.patient_insurance_id for first in firsts
    }


def test_a_claim_is_not_corrected_while_its_services_are_billed_anew() -> None:
    first = services.submit(make_claim(), by=None)
    services.deny(first, by=make_user("receptionist"), reason="Not covered", payer_claim_number="ICN1")
    anew, is_first = equal(first), threading.Event()

    def submit_slowly() -> None:
        with transaction.atomic():
            services.submit(anew, by=None)
            is_first.set()
            wait_until_waited_for()

    def correct_behind() -> None:
        is_first.wait(30)
        correcting.correct(first, by=None)

    assert at_once(submit_slowly, correct_behind) == ["done", "DomainError"]
    assert not InsuranceClaim.objects.filter(original=first).exists()


def test_what_an_earlier_payer_decided_is_not_changed_while_its_claim_is_submitted() -> None:
    prior, is_first = make_prior_adjudication(make_patient()), threading.Event()

    def submit_slowly() -> None:
        with transaction.atomic():
            services.submit(prior.claim, by=None)
            is_first.set()
            wait_until_waited_for()

    def change_behind() -> None:
        is_first.wait(30)
        priors.change_prior(PriorAdjudication.objects.get(), by=None, paid=Decimal(90))

    assert at_once(submit_slowly, change_behind) == ["done", "DomainError"]
    assert PriorAdjudication.objects.get().paid == 100


def equal(first: InsuranceClaim) -> InsuranceClaim:
    """Save a draft that bills the services of `first`."""
    return make_claim(patient_insurance=first.patient_insurance, rendering_doctor=first.rendering_doctor)
