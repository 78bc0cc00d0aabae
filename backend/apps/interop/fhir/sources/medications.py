"""Drugs and prescriptions, as FHIR."""

from __future__ import annotations

from backend.apps.core.permissions import READ, allow
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.places import IN_USE, LISTED
from backend.apps.interop.fhir.sources.results import KNOWN_UNITS
from backend.apps.interop.fhir.sources.visits import ENCOUNTER_ID, visit
from backend.apps.prescriptions import permissions
from backend.apps.prescriptions.models import Medication, Prescription
from integrations.fhir.resources.medication import MEDICATION
from integrations.fhir.resources.medication_request import MEDICATION_REQUEST

HEAD = {"id": "t.id::text", "version": version_of("t.updated_at"), "updated": instant("t.updated_at")}
PRESCRIBED = "greatest(t.updated_at, a.updated_at)"
# Units of doses, beside those of results, as UCUM writes them.
DOSE_UNITS = (
    f"{KNOWN_UNITS}, 'mg', 'ug', 'ng', '[IU]', '[iU]', 'U', 'mmol', 'mg/h', 'ug/h', 'mL/h', '[drp]', '{{tablet}}'"
)

MEDICATIONS = Source(
    name="medication",
    resource=MEDICATION,
    model=Medication,
    permissions={**permissions.MEDICATION, **allow(READ, *permissions.PRESCRIPTION["retrieve"])},  # patients too
    tables="prescriptions_medication AS t",
    columns={
        **HEAD,
        "rxnorm": text("t.rxnorm_code"),
        "ndc": "replace(t.ndc_code, '-', '')",
        "drug": text("concat_ws(' ', t.generic_name, t.strength, t.dosage_form)"),
        "active": f"({IN_USE})::text",
        "manufacturer": text("t.manufacturer"),
        "form": text("t.dosage_form"),
    },
    live="TRUE",
    listed=LISTED,
)

PRESCRIPTIONS = Source(
    name="prescription",
    resource=MEDICATION_REQUEST,
    model=Prescription,
    permissions=permissions.PRESCRIPTION,
    tables=f"prescriptions_prescription AS t {visit('t.appointment_id')}",
    columns={
        "id": "t.id::text",
        "version": version_of(PRESCRIBED),
        "updated": instant(PRESCRIBED),
        "number": "t.prescription_number",
        "status": "t.status",
        "status_reason": text("t.cancellation_reason"),
        "medication": "t.medication_id::text",
        "patient": "t.patient_id::text",
        "encounter": ENCOUNTER_ID,
        "authored": "t.prescribed_date::text",
        "doctor": "t.doctor_id::text",
        "indication": text("t.indication"),
        "sig": text("concat_ws(', ', t.dosage, t.frequency, NULLIF(t.route, 'other'))"),
        "instructions": text("t.instructions"),
        "frequency": text("t.frequency"),
        "route": "t.route",
        "dose": "t.dose_quantity::text",
        "dose_unit": text("t.dose_unit"),
        "dose_code": f"CASE WHEN t.dose_unit IN ({DOSE_UNITS}) THEN t.dose_unit END",
        "expires": "t.expiration_date::text",
        "refills": "t.refills_allowed::text",
        "quantity": "t.quantity::text",
        "days": "t.duration_days::text",
        "pharmacy": text("t.pharmacy_name"),
    },
    patient="t.patient_id",
    changed=PRESCRIBED,
    deleted="SELECT t.id::text, t.deleted_at FROM prescriptions_prescription AS t WHERE t.deleted_at > %s",
)
