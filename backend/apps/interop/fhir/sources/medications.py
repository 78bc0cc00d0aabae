"""Drugs and prescriptions, as FHIR."""

from __future__ import annotations

from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.prescriptions import permissions
from backend.apps.prescriptions.models import Medication, Prescription
from integrations.fhir.resources.medication import MEDICATION
from integrations.fhir.resources.medication_request import MEDICATION_REQUEST

HEAD = {"id": "t.id::text", "version": version_of("t.updated_at"), "updated": instant("t.updated_at")}
# Encounter is the same visit once the patient has come.
ENCOUNTER = "CASE WHEN a.status IN ('checked_in', 'in_progress', 'completed') AND NOT a.is_deleted THEN a.id::text END"


def drug(alias: str) -> str:
    return text(f"concat_ws(' ', {alias}.generic_name, {alias}.strength, {alias}.dosage_form)")


MEDICATIONS = Source(
    name="medication",
    resource=MEDICATION,
    model=Medication,
    permissions=permissions.MEDICATION,
    tables="prescriptions_medication AS t",
    columns={
        **HEAD,
        "rxnorm": text("t.rxnorm_code"),
        "ndc": "replace(t.ndc_code, '-', '')",
        "drug": drug("t"),
        "active": "t.is_active::text",
        "manufacturer": text("t.manufacturer"),
        "form": text("t.dosage_form"),
    },
    deleted="SELECT t.id::text, t.deleted_at FROM prescriptions_medication AS t WHERE t.deleted_at > %s",
)

PRESCRIPTIONS = Source(
    name="prescription",
    resource=MEDICATION_REQUEST,
    model=Prescription,
    permissions=permissions.PRESCRIPTION,
    tables="""prescriptions_prescription AS t
        JOIN prescriptions_medication AS m ON m.id = t.medication_id
        LEFT JOIN appointments_appointment AS a ON a.id = t.appointment_id""",
    columns={
        **HEAD,
        "number": "t.prescription_number",
        "status": "t.status",
        "status_reason": text("t.cancellation_reason"),
        "medication": "t.medication_id::text",
        "drug": drug("m"),
        "patient": "t.patient_id::text",
        "encounter": ENCOUNTER,
        "authored": "t.prescribed_date::text",
        "doctor": "t.doctor_id::text",
        "indication": text("t.indication"),
        "sig": text("concat_ws(', ', t.dosage, t.frequency, NULLIF(t.route, 'other'))"),
        "instructions": text("t.instructions"),
        "frequency": text("t.frequency"),
        "route": "t.route",
        "dose": "t.dose_quantity::text",
        "dose_unit": text("t.dose_unit"),
        "dose_code": "CASE WHEN t.dose_unit ~ '^[!-~]+$' THEN t.dose_unit END",
        "expires": "t.expiration_date::text",
        "refills": "t.refills_allowed::text",
        "quantity": "t.quantity::text",
        "days": "t.duration_days::text",
        "pharmacy": text("t.pharmacy_name"),
    },
    patient="t.patient_id",
    deleted="SELECT t.id::text, t.deleted_at FROM prescriptions_prescription AS t WHERE t.deleted_at > %s",
)
