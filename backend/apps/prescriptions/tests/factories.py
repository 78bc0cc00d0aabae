"""Makes medications, prescriptions and refills for tests; without it each test would invent an NDC."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

from django.utils import timezone

from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.models import Medication, Prescription, PrescriptionRefill


def make_ndc() -> str:
    digits = f"{secrets.randbelow(10**11):011d}"
    return f"{digits[:5]}-{digits[5:9]}-{digits[9:]}"


def make_medication(**over: Any) -> Medication:
    fields = {
        "ndc_code": make_ndc(),
        "generic_name": "Lisinopril",
        "brand_name": "Zestril",
        "drug_class": "antihypertensive",
        "strength": "10 mg",
        "dosage_form": "tablet",
        "unit_price": Decimal("0.12"),
    }
    return Medication.objects.create(**{**fields, **over})


def make_prescription(**over: Any) -> Prescription:
    """Save an active prescription with three refills; `schedule` names that of the drug to make for it."""
    over.setdefault("patient", None)
    over.setdefault("doctor", None)
    schedule = over.pop("schedule", "")
    medication = over.pop("medication", None) or make_medication(controlled_substance_schedule=schedule)
    fields = {
        "dosage": "1 tablet",
        "frequency": "once a day",
        "quantity": Decimal(30),
        "refills_allowed": 0 if schedule == "II" else 3,
        "pharmacy_name": "Corner pharmacy",
    }
    patient, doctor = over.pop("patient") or make_patient(), over.pop("doctor") or make_doctor()
    if over.get("status") == "cancelled":
        over.setdefault("cancelled_at", timezone.now())
    return Prescription.objects.create(patient=patient, doctor=doctor, medication=medication, **{**fields, **over})


def make_refill(**over: Any) -> PrescriptionRefill:
    over.setdefault("prescription", None)
    prescription = over.pop("prescription") or make_prescription()
    return PrescriptionRefill.objects.create(prescription=prescription, **over)
