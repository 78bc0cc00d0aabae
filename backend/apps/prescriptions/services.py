"""Prescribing, dispensing and refills; without it a drug could be given that nobody may give."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.credentials import entitlement
from backend.apps.credentials.models import Needed
from backend.apps.doctors.models import Doctor
from backend.apps.prescriptions.models import Prescription, PrescriptionRefill, PrescriptionStatus
from backend.apps.prescriptions.models.prescriptions import next_prescription_number

FIXED = ("patient", "doctor", "medication")


@transaction.atomic
def prescribe(*, by: Any, **fields: Any) -> Prescription:
    """Write a prescription; a doctor prescribes in their own name."""
    row = Prescription(**fields)
    row.doctor = _prescriber(by, fields.get("doctor"))
    if not row.medication.is_active:
        raise DomainError("This medication is no longer on the list; choose another.")
    row.prescription_number = next_prescription_number()
    row.prepare()
    row.full_clean()
    _refuse_lapsed(row.doctor, row, by)
    row.save()
    return row


@transaction.atomic
def revise(row: Prescription, *, by: Any, **fields: Any) -> Prescription:
    """Change a prescription before it is first filled; of a controlled substance a new one is needed."""
    if row.status != PrescriptionStatus.ACTIVE or row.fills:
        raise DomainError("This prescription is in use; cancel it and write another.")
    if row.schedule:
        raise DomainError("A prescription of a controlled substance stays as written; cancel it and write another.")
    for name in FIXED:
        if name in fields and fields[name] != getattr(row, name):
            raise DomainError(f"The {name} of a prescription stays; cancel it and write another.")
    for name, value in fields.items():
        setattr(row, name, value)
    row.prepare()
    row.full_clean()
    _refuse_lapsed(row.doctor, row, by)
    row.save()
    return row


@transaction.atomic
def fill(row: Prescription, *, by: Any) -> Prescription:
    """Dispense once; the first fill uses no refill."""
    row.fill()
    return row


@transaction.atomic
def cancel(row: Prescription, *, by: Any, reason: str) -> Prescription:
    """Withdraw a prescription, and the requests to refill it."""
    row.cancel(reason)
    for refill in row.refills.filter(status__in=["requested", "approved"]):
        refill.withdraw()
    return row


@transaction.atomic
def hold(row: Prescription, *, by: Any) -> Prescription:
    row.hold()
    return row


@transaction.atomic
def resume(row: Prescription, *, by: Any) -> Prescription:
    _refuse_lapsed(row.doctor, row, by)
    row.resume()
    return row


@transaction.atomic
def request_refill(*, by: Any, prescription: Prescription, **fields: Any) -> PrescriptionRefill:
    """Ask for a refill; there is one open request for a prescription at most."""
    if not prescription.can_refill:
        raise DomainError("No refill is left on this prescription, or it is no longer active.")
    asked_by_patient = getattr(by, "role", None) == Role.PATIENT
    row = PrescriptionRefill(prescription=prescription, requested_by_patient=asked_by_patient, **fields)
    row.pharmacy_name = row.pharmacy_name or prescription.pharmacy_name
    row.full_clean()
    row.save()
    return row


@transaction.atomic
def approve(row: PrescriptionRefill, *, by: Any) -> PrescriptionRefill:
    """Allow a refill in the name of the doctor who approves it, who may be another than the one who prescribed."""
    _refuse_lapsed(getattr(by, "doctor", None) or row.prescription.doctor, row.prescription, by)
    row.approve(by)
    return row


@transaction.atomic
def deny(row: PrescriptionRefill, *, by: Any, reason: str) -> PrescriptionRefill:
    row.deny(reason)
    return row


@transaction.atomic
def mark_as_filled(row: PrescriptionRefill, *, by: Any, quantity: Decimal | None = None) -> PrescriptionRefill:
    """Dispense an approved refill; it comes off the prescription in the same step."""
    row.mark_as_filled(quantity)
    return row


@transaction.atomic
def withdraw(row: PrescriptionRefill, *, by: Any) -> PrescriptionRefill:
    """Take a request back."""
    row.withdraw()
    return row


def _refuse_lapsed(doctor: Doctor, row: Prescription, by: Any) -> None:
    """Refuse a doctor without what prescribing needs today, and of a controlled substance what that needs."""
    controlled = [Needed.CONTROLLED_SUBSTANCES] if row.schedule else []
    entitlement.refuse_without(doctor, Needed.PRESCRIPTIONS, *controlled, on=Clinic.today(), by=by)


def _prescriber(by: Any, doctor: Any) -> Any:
    if getattr(by, "role", None) == Role.DOCTOR:
        own = getattr(by, "doctor", None)
        if own is None or doctor not in {None, own}:
            raise DomainError("A doctor prescribes in their own name only.")
        return own
    if doctor is None:
        raise DomainError("A prescription needs the doctor who writes it.")
    return doctor
