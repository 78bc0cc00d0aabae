"""Proves that a claim's money adds up, that it is whole and covered before it leaves, and every step after that."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.insurance import services
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.insurance.tests.factories import (
    line,
    make_claim,
    make_claim_in,
    make_patient_insurance,
)
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
Status = InsuranceClaim.Status


def stored(claim: InsuranceClaim) -> InsuranceClaim:
    return InsuranceClaim.objects.get(pk=claim.pk)


def write(**over: Any) -> InsuranceClaim:
    fields = {
        "patient_insurance": over.pop("patient_insurance", None) or make_patient_insurance(),
        "service_date": Clinic.today(),
        "diagnosis_codes": ["E11.9"],
        "procedure_codes": [line("99.50"), line("0.50")],
        **over,
    }
    return services.write_claim(by=None, **fields)


def test_claim_numbers_come_from_a_sequence_and_never_repeat() -> None:
    numbers = [make_claim().claim_number for _ in range(3)]
    assert len(set(numbers)) == 3
    assert all(number[0] == "C" and number[1:].isdigit() for number in numbers)


def test_the_billed_amount_is_the_sum_of_the_lines() -> None:
    claim = write()
    assert stored(claim).billed_amount == Decimal("100.00")
    services.change_claim(claim, by=None, procedure_codes=[line("7.25")])
    assert stored(claim).billed_amount == Decimal("7.25")


def test_another_billed_amount_is_refused_in_words_and_by_the_database() -> None:
    with pytest.raises(ValidationError, match="not the sum"):
        write(billed_amount=Decimal("99.99"))
    rows = InsuranceClaim.objects.filter(pk=make_claim().pk)
    with pytest.raises(IntegrityError, match="billed_is_sum"), transaction.atomic():
        rows.update(billed_amount=Decimal(1))
    with pytest.raises(IntegrityError, match="billed_is_sum"), transaction.atomic():
        rows.update(procedure_codes=[line("1.00")])


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"diagnosis_codes": ["e11"]}, "diagnosis_codes"),
        ({"procedure_codes": [{"code": "99213"}]}, "procedure_codes"),
        ({"procedure_codes": "99213"}, "procedure_codes"),
        ({"procedure_codes": [line(diagnosis_pointers=[2])]}, "procedure_codes"),
        ({"service_date": date(2100, 1, 1)}, "service_date"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused_by_field(over: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        write(**over)
    assert field in refusal.value.message_dict


def test_a_visit_of_another_patient_is_refused_in_words_and_by_the_database() -> None:
    coverage = make_patient_insurance()
    with pytest.raises(ValidationError, match="same patient"):
        write(patient_insurance=coverage, appointment=make_appointment())
    with pytest.raises(IntegrityError, match="same patient"), transaction.atomic():
        make_claim(patient_insurance=coverage, appointment=make_appointment())
    good = write(patient_insurance=coverage, appointment=make_appointment(patient=coverage.patient))
    with pytest.raises(IntegrityError, match="same patient"), transaction.atomic():
        InsuranceClaim.objects.filter(pk=good.pk).update(patient_insurance=make_patient_insurance())


PAID = {"status": "paid", "payment_date": date(2026, 6, 1), "paid_amount": Decimal(10)}


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "lost"},
        {"status": "submitted", "submission_date": None},
        {"status": "denied"},
        {"status": "rejected"},
        {"allowed_amount": Decimal("150.01")},
        {"allowed_amount": Decimal(-1)},
        {"paid_amount": Decimal(-1)},
        {"patient_responsibility": Decimal(-1)},
        {**PAID, "payment_date": None},
        {**PAID, "paid_amount": None},
        {**PAID, "paid_amount": Decimal("150.01")},
        {**PAID, "allowed_amount": Decimal("9.99")},
        {**PAID, "allowed_amount": Decimal(10), "patient_responsibility": Decimal("0.01")},
        {"patient_responsibility": Decimal("150.01")},
        {"submission_date": date(2020, 1, 1)},
    ],
)
def test_the_database_refuses_money_and_states_that_make_no_sense(broken: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="insurance_claim"), transaction.atomic():
        make_claim(**broken)


@pytest.mark.parametrize("codes", [{"a": 1}, "E11.9", [f"A{n}" for n in range(10, 23)]])
@pytest.mark.parametrize("field", ["diagnosis_codes", "procedure_codes"])
def test_the_database_refuses_codes_that_are_no_short_list(field: str, codes: Any) -> None:
    rows = InsuranceClaim.objects.filter(pk=make_claim().pk)
    many = [{"charge": "0.00"}] * 51 if field == "procedure_codes" and isinstance(codes, list) else codes
    with pytest.raises((IntegrityError, DataError)), transaction.atomic():
        rows.update(**{field: many})


def test_submitting_stamps_the_clinics_day_and_sends_nothing() -> None:
    claim = make_claim()
    claim.submit()
    assert (stored(claim).status, stored(claim).submission_date) == ("submitted", Clinic.today())


@pytest.mark.parametrize(
    ("over", "refusal"),
    [
        ({"diagnosis_codes": []}, "at least one diagnosis"),
        ({"procedure_codes": []}, "at least one diagnosis and one procedure"),
        ({"service_date": date(2023, 12, 31)}, "not active"),
        ({"procedure_codes": [line(service_date="2023-12-31")]}, "not active"),
        ({"service_date": date(2100, 1, 1)}, "before the day of service"),
    ],
)
def test_a_claim_that_is_not_whole_or_not_covered_is_not_submitted(over: dict[str, Any], refusal: str) -> None:
    claim = make_claim(**over)
    with pytest.raises(DomainError, match=refusal):
        claim.submit()
    assert stored(claim).status == Status.DRAFT


def test_a_coverage_ended_meanwhile_refuses_the_claim() -> None:
    claim = make_claim()
    claim.patient_insurance.covers(claim.service_date)  # cached on the claim
    type(claim.patient_insurance).objects.filter(pk=claim.patient_insurance_id).update(
        termination_date=claim.service_date - timedelta(days=1)
    )
    with pytest.raises(DomainError, match="not active"):
        claim.submit()


def test_a_claim_is_submitted_once_whoever_holds_an_old_copy() -> None:
    claim = make_claim()
    old = stored(claim)
    claim.submit()
    with pytest.raises(IllegalTransition):
        claim.submit()
    with pytest.raises(Conflict):
        old.submit()


VERBS = {
    "submitted": lambda claim: services.submit(claim, by=None),
    "pending": lambda claim: services.mark_as_pending(claim, by=None),
    "accepted": lambda claim: services.accept(claim, by=None, reference="ICN1"),
    "rejected": lambda claim: services.reject(claim, by=None, reason="Unknown member"),
    "draft": lambda claim: services.reopen(claim, by=None),
    "denied": lambda claim: services.deny(claim, by=make_user("receptionist"), reason="Not covered"),
    "appealed": lambda claim: services.appeal(claim, by=None),
    "paid": lambda claim: services.mark_as_paid(
        claim, by=make_user("receptionist"), amount=Decimal("100.00"), reference="EFT-1"
    ),
}


UNJUDGED = {"submitted", "pending", "accepted"}
BY_HAND = {
    "submitted": {"draft"},
    "pending": {"submitted"},
    "accepted": {"submitted", "pending"},
    "rejected": UNJUDGED,
    "draft": {"rejected"},
    "denied": {*UNJUDGED, "appealed"},
    "appealed": {"denied", "paid"},
    "paid": {*UNJUDGED, "appealed"},
}


@pytest.mark.parametrize("old", Status.values)
@pytest.mark.parametrize("new", Status.values)
def test_a_person_moves_a_claim_along_the_table_and_nowhere_else(old: str, new: str) -> None:
    claim = make_claim_in(old)
    assert (old not in BY_HAND[new]) or new in InsuranceClaim.TRANSITIONS[old]
    if old in BY_HAND[new]:
        VERBS[new](claim)
        assert stored(claim).status == new
    else:
        with pytest.raises(IllegalTransition):
            VERBS[new](claim)
        assert stored(claim).status == old


def test_a_payment_is_recorded_once_with_its_reference() -> None:
    claim = make_claim_in("accepted")
    claim.mark_as_paid(Decimal("80.00"), "EFT-9", allowed=Decimal("120.00"), patient_responsibility=Decimal("40.00"))
    with pytest.raises(IllegalTransition):
        claim.mark_as_paid(Decimal("1.00"), "EFT-10")
    row = stored(claim)
    assert (row.paid_amount, row.payment_reference, row.payment_date) == (Decimal(80), "EFT-9", Clinic.today())
    assert (row.allowed_amount, row.patient_responsibility) == (Decimal(120), Decimal(40))


def test_a_claim_that_the_deductible_eats_is_paid_with_nothing() -> None:
    claim = make_claim_in("accepted")
    claim.mark_as_paid(Decimal(0), "", allowed=Decimal(120), patient_responsibility=Decimal(120))
    assert stored(claim).status == Status.PAID


@pytest.mark.parametrize(
    ("amount", "more", "refusal"),
    [
        ("-1", {}, "negative"),
        ("10", {"allowed": Decimal(-1)}, "negative"),
        ("10", {"patient_responsibility": Decimal(-1)}, "negative"),
        ("150.01", {}, "more than"),
        ("10", {"allowed": Decimal("150.01")}, "more than was billed"),
        ("100", {"allowed": Decimal(99)}, "more than"),
        ("100", {"allowed": Decimal(120), "patient_responsibility": Decimal("20.01")}, "more than"),
        ("10", {"on": date(2100, 1, 1)}, "not in the future"),
        ("10", {"on": date(2020, 1, 1)}, "after the submission"),
    ],
)
def test_a_payment_that_cannot_be_is_refused(amount: str, more: dict[str, Any], refusal: str) -> None:
    claim = make_claim_in("accepted")
    with pytest.raises(DomainError, match=refusal):
        services.mark_as_paid(claim, by=None, amount=Decimal(amount), **more)
    assert (stored(claim).status, stored(claim).paid_amount) == ("accepted", None)


def test_no_machine_enters_a_payment_that_no_835_tells_of() -> None:
    claim = make_claim_in("accepted")
    with pytest.raises(DomainError, match="Only a person"):
        services.mark_as_paid(claim, by=None, amount=Decimal(100))
    assert (stored(claim).status, stored(claim).paid_amount) == ("accepted", None)
    services.mark_as_paid(stored(claim), by=make_user("receptionist"), amount=Decimal(100))
    assert [(row.kind, row.amount) for row in claim.postings.all()] == [("payment", Decimal(100))]


def test_a_won_appeal_is_paid() -> None:
    claim = make_claim_in("appealed")
    claim.mark_as_paid(Decimal("50.00"), "EFT-2")
    assert (stored(claim).status, stored(claim).denial_reason) == ("paid", "Not covered")


@pytest.mark.parametrize("verb", ["reject", "deny"])
def test_a_refusal_needs_the_payers_reason(verb: str) -> None:
    claim = make_claim_in("submitted")
    with pytest.raises(DomainError, match="reason"):
        getattr(claim, verb)("  ")


def test_a_rejected_claim_is_corrected_and_submitted_under_its_own_number() -> None:
    claim = make_claim_in("rejected")
    number = claim.claim_number
    services.reopen(claim, by=None)
    services.change_claim(claim, by=None, diagnosis_codes=["E11.9"], procedure_codes=[line("60.00")])
    services.submit(claim, by=None)
    assert (stored(claim).status, stored(claim).claim_number) == ("submitted", number)
    assert stored(claim).billed_amount == 60


@pytest.mark.parametrize("status", sorted(set(Status.values) - {"draft"}))
def test_a_submitted_claim_keeps_its_content(status: str) -> None:
    claim = make_claim_in(status)
    with pytest.raises(DomainError, match="stays as it is"):
        services.change_claim(claim, by=None, diagnosis_codes=["I10"])
    with pytest.raises(DomainError, match="is kept"):
        claim.delete()
    assert stored(claim).diagnosis_codes == ["E11.9", "I10"]


def test_a_draft_read_before_the_submission_cannot_be_changed_after_it() -> None:
    claim = make_claim()
    old = stored(claim)
    claim.submit()
    with pytest.raises(DomainError, match="stays as it is"):
        services.change_claim(old, by=None, diagnosis_codes=["I10"])


def test_a_claim_is_checked_without_a_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    write().full_clean()
    make_claim_in("paid").full_clean()
    assert caplog.records == []


def test_the_text_of_a_claim_tells_its_number_only() -> None:
    claim = make_claim()
    assert str(claim) == f"claim {claim.claim_number}"
