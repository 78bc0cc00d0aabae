"""Patients, as FHIR."""

from __future__ import annotations

from backend.apps.core.field_rules import ONLY
from backend.apps.core.roles import Role
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.patients import permissions
from backend.apps.patients.models import Patient
from integrations.fhir.resources.patient import PATIENT

COLUMNS = {
    "id": "t.id::text",
    "version": version_of("t.updated_at"),
    "updated": instant("t.updated_at"),
    "races": "NULLIF(t.races::text, '[]')",
    "ethnicity": text("t.ethnicity"),
    "birth_sex": text("t.birth_sex"),
    "needs_interpreter": "t.needs_interpreter::text",
    "mrn": "t.medical_record_number",
    "active": "'true'",
    "family": "t.last_name",
    "given": text("t.first_name"),
    "middle": text("t.middle_name"),
    "suffix": text("t.name_suffix"),
    "phone": "t.phone",
    "email": "t.email",
    "gender": "t.gender",
    "birth_date": "t.date_of_birth::text",
    "deceased": instant("t.deceased_at"),
    "has_address": text("t.address_line1 || t.address_line2 || t.city || t.state || t.postal_code"),
    "line1": text("t.address_line1"),
    "line2": text("t.address_line2"),
    "city": text("t.city"),
    "state": text("t.state"),
    "postal_code": text("t.postal_code"),
    "country": text("t.country"),
    "has_contact": text("t.emergency_contact_name || t.emergency_contact_phone"),
    "contact_name": text("t.emergency_contact_name"),
    "contact_relationship": text("t.emergency_contact_relationship"),
    "contact_phone": "t.emergency_contact_phone",
    "language": text("t.preferred_language"),
    "merged": """(SELECT jsonb_agg(jsonb_build_array(other.id) ORDER BY other.id)::text
        FROM patients_patient AS other WHERE other.merged_into_id = t.id)""",
}
IDENTITY = frozenset({
    "id", "version", "updated", "mrn", "active", "family", "given", "middle", "suffix", "gender", "birth_date",
})  # fmt: skip
ALSO = {"phone": "phone"}  # what /api/v1 shows some of these roles beside the identity, and its column here

PATIENTS = Source(
    name="patient",
    resource=PATIENT,
    model=Patient,
    permissions=permissions.PATIENT,
    tables="patients_patient AS t",
    columns=COLUMNS,
    sealed={"phone": "phone", "email": "email", "contact_phone": "emergency_contact_phone"},
    patient="t.id",
    deleted="SELECT t.id::text, t.deleted_at FROM patients_patient AS t WHERE t.is_deleted AND t.deleted_at > %s",
    seen_by={
        role: IDENTITY | {column for name, column in ALSO.items() if name in ONLY["patients.Patient"][role]}
        for role in (Role.LAB_TECH, Role.PHARMACIST)
    },
)
