"""Makes drugs, claims, notes and what was written down about them, for the sources that turn them into resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.clinical_notes import services as notes
from backend.apps.clinical_notes.models import ClinicalNote, SOAPNote
from backend.apps.clinical_notes.tests.factories import make_note, make_soap
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.core.roles import Role
from backend.apps.doctors.tests.factories import make_doctor
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
from backend.apps.laboratory.models import LabResult
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed, make_lab_result
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
        line("100.00", code="J1100", diagnosis_pointers=[1, 2], rendering_doctor=str(rendering_doctor().pk), **drug),
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


def signed_note(**over: Any) -> ClinicalNote:
    """Save a SOAP note of a visit with vital signs and attachments, signed by its doctor."""
    visit = make_appointment(status="completed")
    files = [
        {"name": "Scan.pdf", "reference": "notes/2026/scan.pdf"},
        {"name": "Of somebody else", "reference": "insurance/eobs/other.pdf"},
        {"name": "Not a document", "reference": "notes/2026/page.html"},
    ]
    note = make_note(patient=visit.patient, doctor=visit.doctor, appointment=visit, attachments=files, **over)
    signs = {"blood_pressure_systolic": 120, "blood_pressure_diastolic": 80, "weight": Decimal(80), "height": 180}
    make_soap(clinical_note=note, objective='BP <120/80> & "stable"\n</div>', plan="  ", **signs)
    note.sign(note.doctor.user)
    return note


def amendment(of: ClinicalNote | None = None) -> ClinicalNote:
    note = notes.amend(of or signed_note(), by=None)
    note.sign(note.doctor.user)
    return note


def amended_note() -> ClinicalNote:
    return amendment().amends


def soap_of(note: ClinicalNote) -> SOAPNote:
    return SOAPNote.objects.get(clinical_note=note)


def result_with_document() -> LabResult:
    return make_lab_result(file_attachment="lab_results/0123.pdf", status="corrected")


def typed_result() -> LabResult:
    return make_lab_result(entered_by=make_doctor().user)


def fed_result() -> LabResult:
    return make_lab_result(source_message=make_inbound_message(feed=make_lab_feed()))


def noted(action: str, kind: str, pk: str = "", **over: Any) -> AuditLog:
    return AuditLog.objects.create(action=action, resource_type=kind, resource_id=pk, **over)


def audit_rows() -> Iterator[Callable[[], AuditLog]]:
    """Yield makers of a row for each sort of thing the audit log tells of."""
    patient = "01980a5e-7f1b-7c2d-8e3f-000000000001"
    yield lambda: noted("retrieve", "patient", patient, patient_id=patient, user=make_doctor().user)
    yield lambda: noted("list", "Observation", detail={"client": patient, "count": 3}, outcome="refused")
    yield lambda: noted("console.reveal", "inboundmessage", patient, user=make_user(), ip_address="192.0.2.1")
    yield lambda: noted("create", "insuranceclaim", patient, patient_id=patient, outcome="failed")
    yield lambda: noted("login", "user", ip_address="192.0.2.1", outcome="refused")
    yield lambda: noted("merge", "patient", "no id <at> all", patient_id=patient)


MAKERS: Mapping[str, tuple[Callable[[], Any], ...]] = MappingProxyType({
    "medication": (full_medication, bare_medication),
    "prescription": (full_prescription, cancelled_prescription),
    "claim": (full_claim, bare_claim, paid_claim),
    "explanation-of-benefit": (paid_claim, lambda: make_claim_in("denied")),
    "document-note": (signed_note, amendment, amended_note, lambda: make_note(signed=True, note_type="discharge")),
    "document-result": (result_with_document,),
    "composition": (lambda: soap_of(signed_note()), lambda: soap_of(amendment())),
    "provenance-result": (fed_result, typed_result, make_lab_result),
    "provenance-note": (signed_note, amendment),
    "provenance-prescription": (full_prescription,),
    "audit": tuple(audit_rows()),
})  # fmt: skip
