"""Who is behind results, notes and prescriptions, as FHIR."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from backend.apps.clinical_notes import permissions as notes
from backend.apps.clinical_notes.models import ClinicalNote
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.documents import CLINIC, NOTE_CHANGED, amended
from backend.apps.interop.fhir.sources.places import OUR_CLINIC
from backend.apps.interop.fhir.sources.vital_signs import TAKEN, by_name
from backend.apps.laboratory import permissions as laboratory
from backend.apps.laboratory.models import LabResult
from backend.apps.prescriptions import permissions as prescriptions
from backend.apps.prescriptions.models import Prescription
from integrations.fhir.resources.provenance import PROVENANCE

HEAD = {"id": "t.id::text", "version": version_of("t.updated_at"), "updated": instant("t.updated_at"), **CLINIC}
VITAL_SIGNS = f"""(SELECT array_agg('Observation/' || t.id || '-' || v.kind) FROM clinical_notes_soapnote AS t {TAKEN}
    WHERE t.id = s.id AND v.value IS NOT NULL AND later.signed_at IS NULL)"""  # noqa: S608  # our own names only
BY_DOCTOR = {"doctor": "t.doctor_id::text", "author": "NULL::text", "author_name": "NULL::text"}


def targets(*references: str, also: str = "'{}'") -> str:
    """Return SQL for what a Provenance is about; a reference that is NULL is none. also: SQL for an array of more."""
    return f"""(SELECT jsonb_agg(jsonb_build_array(target))::text
        FROM unnest(ARRAY[{", ".join(references)}] || {also}) AS target WHERE target IS NOT NULL)"""  # noqa: S608  # our own


def by_vital_sign(fhir_id: str) -> Q | None:
    """Return the filter of the note that a vital sign is of; None when this cannot be the id of one."""
    return Q(soap_note__pk=UUID(fhir_id[:36])) if by_name(fhir_id) else None


# A result that a person typed in is that person's, whatever laboratory its order went to.
RESULT_ORIGINS = Source(
    name="provenance-result",
    resource=PROVENANCE,
    model=LabResult,
    permissions=laboratory.LAB_RESULT,
    tables=f"""laboratory_labresult AS t
        JOIN laboratory_laborder AS o ON o.id = t.lab_order_id
        LEFT JOIN laboratory_inboundmessage AS m ON m.id = t.source_message_id
        LEFT JOIN laboratory_labfeed AS f ON f.id = COALESCE(m.feed_id, o.feed_id) AND t.entered_by_id IS NULL
        LEFT JOIN doctors_doctor AS d ON d.user_id = t.entered_by_id
        {OUR_CLINIC}""",
    live="t.is_current AND NOT t.is_deleted",
    columns={
        **HEAD,
        "targets": "jsonb_build_array(jsonb_build_array('Observation/' || t.result_key))::text",
        "occurred": instant("COALESCE(t.reported_at, t.sent_at)"),
        "recorded": instant("t.created_at"),
        "activity": "CASE WHEN t.version > 1 THEN 'UPDATE' ELSE 'CREATE' END",
        "doctor": "d.id::text",
        "author": "CASE WHEN d.id IS NULL THEN COALESCE(f.id, c.id)::text END",
        "author_name": f"CASE WHEN d.id IS NULL THEN COALESCE({text('f.name')}, {CLINIC['clinic_name']}) END",
    },
    patient="o.patient_id",
    deleted="""SELECT t.id::text, t.updated_at FROM laboratory_labresult AS t
        WHERE (t.is_deleted OR NOT t.is_current) AND t.updated_at > %s""",
)

NOTE_ORIGINS = Source(
    name="provenance-note",
    resource=PROVENANCE,
    model=ClinicalNote,
    permissions=notes.NOTE,
    tables=f"""clinical_notes_clinicalnote AS t
        LEFT JOIN clinical_notes_soapnote AS s ON s.clinical_note_id = t.id AND NOT s.is_deleted
        {amended("t")}
        {OUR_CLINIC}""",
    live="t.is_signed AND NOT t.is_deleted",
    columns={
        **HEAD,
        **BY_DOCTOR,
        "version": version_of(NOTE_CHANGED),
        "updated": instant(NOTE_CHANGED),
        "targets": targets(
            "'DocumentReference/' || t.id",
            "'Composition/' || s.id",
            also=VITAL_SIGNS,
        ),
        "occurred": instant("t.signed_at"),
        "recorded": instant("t.signed_at"),
        "activity": "CASE WHEN t.amends_id IS NULL THEN 'CREATE' ELSE 'UPDATE' END",
    },
    patient="t.patient_id",
    changed=NOTE_CHANGED,
)

PRESCRIPTION_ORIGINS = Source(
    name="provenance-prescription",
    resource=PROVENANCE,
    model=Prescription,
    permissions=prescriptions.PRESCRIPTION,
    tables=f"prescriptions_prescription AS t {OUR_CLINIC}",
    columns={
        **HEAD,
        **BY_DOCTOR,
        "targets": targets("'MedicationRequest/' || t.id"),
        "occurred": "t.prescribed_date::text",
        "recorded": instant("t.created_at"),
        "activity": "'CREATE'",
    },
    patient="t.patient_id",
    deleted="SELECT t.id::text, t.deleted_at FROM prescriptions_prescription AS t WHERE t.deleted_at > %s",
)
