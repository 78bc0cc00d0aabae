"""Makes payers, plans, coverage and claims for tests; without it every claim test would begin with four rows."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.insurance import codes
from backend.apps.insurance.models import InsuranceClaim, InsurancePlan, InsuranceProvider, PatientInsurance
from backend.apps.patients.tests.factories import make_patient


def make_provider(**over: Any) -> InsuranceProvider:
    return InsuranceProvider.objects.create(
        **{"company_name": "Example Health", "payer_id": f"P{uuid.uuid4().hex[:10].upper()}", **over}
    )


def make_plan(**over: Any) -> InsurancePlan:
    over.setdefault("provider", None)
    provider = over.pop("provider") or make_provider()
    fields = {"plan_name": "Silver", "plan_type": "ppo", "copay_primary_care": Decimal(25)}
    return InsurancePlan.objects.create(provider=provider, **{**fields, **over})


def make_patient_insurance(**over: Any) -> PatientInsurance:
    """Save a primary coverage of the patient's own since 2024, never verified."""
    over.setdefault("patient", None)
    over.setdefault("insurance_plan", None)
    fields = {
        **over,
        "patient": over["patient"] or make_patient(),
        "insurance_plan": over["insurance_plan"] or make_plan(),
    }
    usual = {"policy_number": "POL-1", "member_id": "W123456789", "effective_date": date(2024, 1, 1)}
    return PatientInsurance.objects.create(**{**usual, **fields})


def line(charge: str = "125.00", **over: Any) -> dict[str, Any]:
    return {"code": "99213", "modifiers": [], "units": 1, "charge": charge, "diagnosis_pointers": [1], **over}


def make_claim(**over: Any) -> InsuranceClaim:
    """Save a draft for an office visit of last week, billed 150.00 in two lines."""
    over.setdefault("patient_insurance", None)
    coverage = over.pop("patient_insurance") or make_patient_insurance()
    fields = {
        "service_date": Clinic.today() - timedelta(days=7),
        "diagnosis_codes": ["E11.9", "I10"],
        "procedure_codes": [line(), line("25.00", code="36415", diagnosis_pointers=[1, 2])],
        **over,
    }
    fields.setdefault("billed_amount", codes.total(fields["procedure_codes"]))
    if fields.get("status", "draft") != "draft":
        fields.setdefault("submission_date", fields["service_date"])
    return InsuranceClaim.objects.create(patient_insurance=coverage, **fields)


def make_claim_in(status: str) -> InsuranceClaim:
    """Save a claim that came to `status` by its own verbs."""
    claim = make_claim()
    steps = {
        "draft": [],
        "submitted": ["submit"],
        "pending": ["submit", "mark_as_pending"],
        "accepted": ["submit", "accept"],
        "rejected": ["submit", "reject"],
        "denied": ["submit", "deny"],
        "appealed": ["submit", "deny", "appeal"],
        "paid": ["submit", "mark_as_paid"],
    }
    inputs = {"reject": ["Unknown member"], "deny": ["Not covered"], "mark_as_paid": [Decimal("100.00"), "EFT-1"]}
    for verb in steps[status]:
        getattr(claim, verb)(*inputs.get(verb, []))
    return claim
