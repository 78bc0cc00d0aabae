"""Makes drugs, claims, notes and what was written down about them, for the sources that turn them into resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.insurance import services
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.insurance.tests.factories import (
    line,
    make_claim,
    make_claim_in,
    make_patient_insurance,
    referring_provider,
    rendering_doctor,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.models import Medication, Prescription
from backend.apps.prescriptions.tests.factories import make_medication, make_prescription
from backend.apps.users.tests.factories import make_user


def full_medication() -> Medication:
    return make_medication(rxnorm_code="314076", manufacturer="Example Labs")


def bare_medication() -> Medication:
    return make_medication(brand_name="", dosage_form=" ", is_active=False)


def full_prescription() -> Prescription:
    visit = make_appointment(status="completed")
    return make_prescription(
        patient=visit.patient,
        doctor=visit.doctor,
        appointment=visit,
        medication=full_medication(),
        dose_quantity=Decimal("2.5"),
        dose_unit="mL",
        duration_days=10,
        instructions="With food.\nNot with milk.",
        indication="High blood pressure",
    )


def cancelled_prescription() -> Prescription:
    return make_prescription(
        status="cancelled", cancellation_reason="Cough", route="other", dose_quantity=1, dose_unit="two words"
    )


def full_claim() -> InsuranceClaim:
    day = Clinic.today() - timedelta(days=7)
    drug = {"ndc": "00002322730", "ndc_quantity": "1.5", "ndc_unit": "ML"}
    lines = [
        line(modifiers=["25", "LT"], units=3, description="Office visit"),
        line("100.00", code="J1100", diagnosis_pointers=[1, 2], **drug),
        line("10.00", code="00100", unit_basis="MJ", units=15, service_to=(day + timedelta(days=2)).isoformat()),
    ]
    return make_claim(
        patient_insurance=make_patient_insurance(patient=make_patient()),
        service_date=day,
        procedure_codes=lines,
        rendering_doctor=rendering_doctor(),
        referring_provider=referring_provider(),
        prior_authorization="AUTH-1",
        accident="AA",
        accident_on=day,
        accident_state="NY",
    )


def bare_claim() -> InsuranceClaim:
    return make_claim(diagnosis_codes=[], procedure_codes=[], billing_entity=None, place_of_service="")


def paid_claim() -> InsuranceClaim:
    """Save a claim of 150.00: 100.00 paid, 20.00 for the patient to pay."""
    claim = make_claim_in("accepted")
    amounts = {"amount": Decimal("100.00"), "patient_responsibility": Decimal("20.00")}
    return services.mark_as_paid(claim, by=make_user(Role.RECEPTIONIST), **amounts)


MAKERS: Mapping[str, tuple[Callable[[], Any], ...]] = MappingProxyType({
    "medication": (full_medication, bare_medication),
    "prescription": (full_prescription, cancelled_prescription),
    "claim": (full_claim, bare_claim, paid_claim),
    "explanation-of-benefit": (paid_claim, lambda: make_claim_in("denied")),
})  # fmt: skip
