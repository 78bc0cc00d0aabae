"""Holds the arithmetic of refills, the arrows and the law of controlled substances, in Python and in the database."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.prescriptions import ndc
from backend.apps.prescriptions.models import Medication, Prescription, PrescriptionRefill
from backend.apps.prescriptions.models.prescriptions import months_after
from backend.apps.prescriptions.tests.factories import make_medication, make_prescription, make_refill
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
STATES = ["active", "on_hold", "completed", "cancelled", "expired"]
ARROWS = {
    ("active", "cancel"): "cancelled",
    ("active", "hold"): "on_hold",
    ("on_hold", "cancel"): "cancelled",
    ("on_hold", "resume"): "active",
    ("active", "fill"): "active",
}
REFILL_ARROWS = {
    ("requested", "approve"): "approved",
    ("requested", "deny"): "denied",
    ("requested", "withdraw"): "cancelled",
    ("approved", "withdraw"): "cancelled",
    ("approved", "mark_as_filled"): "filled",
}


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0002-3227-30", "00002-3227-30"),
        ("50242-040-62", "50242-0040-62"),
        ("60575-4112-1", "60575-4112-01"),
        ("00002-3227-30", "00002-3227-30"),
        ("00002322730", "00002-3227-30"),
        (" 0002-3227-30 ", "00002-3227-30"),
    ],
)
def test_every_shape_of_an_ndc_is_stored_as_one(written: str, stored: str) -> None:
    assert ndc.normalized(written) == stored
    assert make_medication(ndc_code=written).ndc_code == stored


@pytest.mark.parametrize(
    "code", ["", "0002322730", "1-2-3", "0002-3227", "0002-3227-3x", "000020-3227-30", "٠٠٠٠٢٣٢٢٧٣٠"]
)
def test_an_ndc_of_no_shape_is_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        make_medication(ndc_code=code)


def test_one_package_under_two_writings_is_one_medication() -> None:
    make_medication(ndc_code="0002-3227-30")
    with pytest.raises(ValidationError, match="already exists"):
        Medication(ndc_code="00002322730", generic_name="x", strength="1", dosage_form="y").full_clean()


@pytest.mark.parametrize("schedule", ["", "I", "II", "III", "IV", "V"])
def test_a_schedule_makes_a_substance_controlled(schedule: str) -> None:
    assert make_medication(controlled_substance_schedule=schedule).is_controlled_substance is bool(schedule)


@pytest.mark.parametrize("verb", ["fill", "cancel", "hold", "resume"])
@pytest.mark.parametrize("state", STATES)
def test_a_prescription_moves_along_its_arrows_and_along_no_other(state: str, verb: str) -> None:
    prescription = make_prescription(status=state)
    if (state, verb) in ARROWS:
        getattr(prescription, verb)()
        assert Prescription.objects.get(pk=prescription.pk).status == ARROWS[state, verb]
    else:
        with pytest.raises(DomainError):
            getattr(prescription, verb)()
        stored = Prescription.objects.get(pk=prescription.pk)
        assert (stored.status, stored.fills) == (state, 0)


def test_the_first_fill_uses_no_refill_and_the_last_one_completes() -> None:
    prescription = make_prescription(refills_allowed=2)
    seen = []
    for _ in range(3):
        prescription.fill()
        seen.append((prescription.refills_remaining, prescription.status))
    assert seen == [(2, "active"), (1, "active"), (0, "completed")]
    assert prescription.last_filled_date == Clinic.today()
    with pytest.raises(DomainError, match="No refill is left"):
        prescription.fill()
    assert Prescription.objects.get(pk=prescription.pk).fills == 3


def test_without_refills_there_is_one_fill() -> None:
    prescription = make_prescription(refills_allowed=0)
    assert not prescription.can_refill
    prescription.fill()
    assert prescription.status == "completed"
    with pytest.raises(DomainError, match="No refill is left"):
        prescription.fill()


def test_a_fill_of_a_stale_prescription_is_a_conflict() -> None:
    prescription = make_prescription(refills_allowed=1)
    stale = Prescription.objects.get(pk=prescription.pk)
    prescription.fill()
    with pytest.raises(Conflict):
        stale.fill()
    assert Prescription.objects.get(pk=prescription.pk).fills == 1


@pytest.mark.parametrize(("days", "expired"), [(0, False), (1, False), (-1, True)])
def test_a_prescription_may_be_filled_on_its_last_day_and_not_after(days: int, expired: bool) -> None:
    today = Clinic.today()
    prescription = make_prescription(
        prescribed_date=today - timedelta(days=30), expiration_date=today + timedelta(days=days)
    )
    assert (prescription.is_expired, prescription.is_active, prescription.can_refill) == (
        expired, not expired, not expired,
    )  # fmt: skip
    if expired:
        with pytest.raises(DomainError, match="expired"):
            prescription.fill()
    else:
        prescription.fill()
    assert Prescription.objects.get(pk=prescription.pk).fills == int(not expired)


def test_what_expired_on_hold_is_not_resumed() -> None:
    today = Clinic.today()
    row = make_prescription(
        status="on_hold", prescribed_date=today - timedelta(9), expiration_date=today - timedelta(1)
    )
    with pytest.raises(DomainError, match="expired"):
        row.resume()


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2026, 1, 15), 6, date(2026, 7, 15)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2027, 8, 31), 6, date(2028, 2, 29)),
        (date(2026, 12, 1), 12, date(2027, 12, 1)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
    ],
)
def test_months_end_on_the_same_day_or_the_last(day: date, months: int, later: date) -> None:
    assert months_after(day, months) == later


@pytest.mark.parametrize(("schedule", "months"), [("", 12), ("II", 6), ("III", 6), ("IV", 6), ("V", 6)])
def test_a_prescription_expires_by_its_schedule_and_names_the_dea_number_when_controlled(
    schedule: str, months: int
) -> None:
    row = make_prescription(schedule=schedule)
    assert row.expiration_date == months_after(row.prescribed_date, months)
    assert row.dea_number_used == (row.doctor.dea_number if schedule else "")
    assert row.schedule == schedule


def draft(schedule: str, **over: Any) -> Prescription:
    row = Prescription(
        **{
            "patient": make_prescription().patient,
            "doctor": make_doctor(),
            "medication": make_medication(controlled_substance_schedule=schedule),
            "dosage": "1",
            "frequency": "daily",
            "quantity": 10,
            "prescription_number": "RX",
            **over,
        }
    )
    row.prepare()
    return row


ILLEGAL = [
    ("I", {}, "schedule I may not"),
    ("II", {"refills_allowed": 1}, "may not be refilled"),
    ("III", {"refills_allowed": 6}, "five times at most"),
    ("V", {"refills_allowed": 6}, "five times at most"),
    ("IV", {"expiration_date": "later"}, "within six months"),
    ("II", {"doctor": None}, "DEA number"),
]


@pytest.mark.parametrize(("schedule", "wrong", "sentence"), ILLEGAL)
def test_what_the_law_forbids_is_refused_in_python_and_in_the_database(
    schedule: str, wrong: dict[str, Any], sentence: str
) -> None:
    if "doctor" in wrong:
        wrong = {"doctor": make_doctor(dea_number="")}
    if "expiration_date" in wrong:
        wrong = {"expiration_date": Clinic.today() + timedelta(days=190)}
    row = draft(schedule, **wrong)
    with pytest.raises(ValidationError, match=sentence):
        row.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


@pytest.mark.parametrize(("schedule", "refills"), [("II", 0), ("III", 5), ("IV", 5), ("V", 5), ("", 11)])
def test_what_the_law_allows_is_taken(schedule: str, refills: int) -> None:
    row = draft(schedule, refills_allowed=refills)
    row.full_clean()
    row.save()
    assert Prescription.objects.get(pk=row.pk).refills_remaining == refills


@pytest.mark.parametrize(
    "wrong",
    [
        {"refills_remaining": 4},
        {"refills_remaining": 2},
        {"fills": 1},
        {"fills": 2, "last_filled_date": date(2026, 1, 1)},
        {"refills_allowed": 100},
        {"status": "lost"},
        {"status": "cancelled"},
        {"cancellation_reason": "x"},
        {"route": "post"},
        {"quantity": 0},
        {"expiration_date": date(2020, 1, 1)},
        {"expiration_date": date(2099, 1, 1)},
        {"schedule": "II"},
        {"electronically_sent": True},
        {"pharmacy_phone": "555"},
        {"dosage": ""},
    ],
)
def test_the_database_refuses_a_prescription_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    row = make_prescription(refills_allowed=3)
    with pytest.raises(IntegrityError), transaction.atomic():
        Prescription.objects.filter(pk=row.pk).update(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ndc_code": "1"},
        {"drug_class": "magic"},
        {"controlled_substance_schedule": "VI"},
        {"unit_price": -1},
        {"generic_name": ""},
    ],
)
def test_the_database_refuses_a_medication_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    row = make_medication()
    with pytest.raises(IntegrityError), transaction.atomic():
        Medication.objects.filter(pk=row.pk).update(**wrong)


def test_prescription_numbers_come_from_a_sequence() -> None:
    numbers = {make_prescription().prescription_number for _ in range(3)}
    assert len(numbers) == 3
    assert all(number.startswith("RX") for number in numbers)


def refill_in(state: str) -> PrescriptionRefill:
    refill = make_refill()
    doctor = make_user(role="doctor")
    ways: dict[str, list[Any]] = {
        "requested": [],
        "approved": [lambda: refill.approve(doctor)],
        "denied": [lambda: refill.deny("No.")],
        "cancelled": [refill.withdraw],
        "filled": [lambda: refill.approve(doctor), refill.mark_as_filled],
    }
    for step in ways[state]:
        step()
    return refill


@pytest.mark.parametrize("verb", ["approve", "deny", "withdraw", "mark_as_filled"])
@pytest.mark.parametrize("state", ["requested", "approved", "denied", "cancelled", "filled"])
def test_a_refill_moves_along_its_arrows_and_along_no_other(state: str, verb: str) -> None:
    refill = refill_in(state)
    fills = refill.prescription.fills
    act = getattr(refill, verb)
    arguments = [make_user(role="doctor")] if verb == "approve" else []
    if (state, verb) in REFILL_ARROWS:
        act(*arguments)
        assert PrescriptionRefill.objects.get(pk=refill.pk).status == REFILL_ARROWS[state, verb]
    else:
        with pytest.raises(IllegalTransition):
            act(*arguments)
        assert PrescriptionRefill.objects.get(pk=refill.pk).status == state
        assert Prescription.objects.get(pk=refill.prescription_id).fills == fills


@pytest.mark.parametrize("role", ["pharmacist", "nurse", "patient", "admin"])
def test_only_a_doctor_approves(role: str) -> None:
    with pytest.raises(DomainError, match="Only a doctor"):
        make_refill().approve(make_user(role=role))


def test_a_filled_refill_comes_off_the_prescription_once() -> None:
    prescription = make_prescription(refills_allowed=2)
    prescription.fill()
    refill = make_refill(prescription=prescription)
    refill.approve(make_user(role="doctor"))
    refill.mark_as_filled(Decimal("20"))
    stored = PrescriptionRefill.objects.get(pk=refill.pk)
    assert (stored.quantity_filled, stored.filled_date is not None) == (Decimal("20"), True)
    assert (stored.prescription.refills_remaining, stored.prescription.fills) == (1, 2)
    with pytest.raises(IllegalTransition):
        refill.mark_as_filled()


@pytest.mark.parametrize("quantity", [0, -1, 31])
def test_more_than_was_prescribed_is_not_dispensed(quantity: int) -> None:
    refill = refill_in("approved")
    with pytest.raises(DomainError, match="no more than was prescribed"):
        refill.mark_as_filled(Decimal(quantity))
    assert PrescriptionRefill.objects.get(pk=refill.pk).status == "approved"


def test_a_refill_of_a_prescription_that_was_cancelled_is_neither_approved_nor_filled() -> None:
    asked, approved = refill_in("requested"), refill_in("approved")
    for refill in (asked, approved):
        refill.prescription.cancel("Allergy.")
    with pytest.raises(DomainError):
        asked.approve(make_user(role="doctor"))
    with pytest.raises(DomainError, match="cancelled"):
        approved.mark_as_filled()
    assert PrescriptionRefill.objects.get(pk=approved.pk).status == "approved"


@pytest.mark.parametrize(
    "wrong",
    [{"status": "approved"}, {"status": "filled"}, {"status": "lost"}, {"quantity_filled": 3}],
)
def test_the_database_refuses_a_refill_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    refill = make_refill()
    with pytest.raises(IntegrityError), transaction.atomic():
        PrescriptionRefill.objects.filter(pk=refill.pk).update(**wrong)


def test_one_request_is_open_at_a_time() -> None:
    refill = make_refill()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_refill(prescription=refill.prescription)
    refill.deny("No.")
    make_refill(prescription=refill.prescription)


def test_no_text_of_a_row_names_patient_or_drug() -> None:
    refill = make_refill()
    texts = [str(row) for row in (refill, refill.prescription)]
    assert not any("Okafor" in text or "Lisinopril" in text for text in texts)
