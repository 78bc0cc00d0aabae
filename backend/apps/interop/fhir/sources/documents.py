"""Signed notes and the documents that came with results, as FHIR: what they are and where their content is."""

from __future__ import annotations

from backend.apps.clinical_notes import permissions as notes
from backend.apps.clinical_notes.models import ClinicalNote, SOAPNote
from backend.apps.core.documents import MEDIA_TYPES
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.places import OUR_CLINIC
from backend.apps.interop.fhir.sources.visits import ENCOUNTER_ID, come, visit
from backend.apps.interop.fhir.sources.vital_signs import TAKEN, chain
from backend.apps.laboratory import permissions as laboratory
from backend.apps.laboratory.models import LabResult
from integrations.fhir.resources.composition import COMPOSITION
from integrations.fhir.resources.document_reference import DOCUMENT_REFERENCE

WRITTEN = "text/plain; charset=utf-8"
SOAP_TEXTS = {name: name for name in ("subjective", "objective", "assessment", "plan")}  # sealed
CLINIC = {"clinic": "c.id::text", "clinic_name": f"COALESCE({text('c.name')}, 'The practice')"}
NOTE_CHANGED = "greatest(t.updated_at, later.signed_at)"
DOCUMENT_CHANGED = "greatest(t.updated_at, later.signed_at, a.updated_at)"
SOAP_CHANGED = "greatest(t.updated_at, n.updated_at, later.signed_at, a.updated_at)"
RESULT_CHANGED = "greatest(t.updated_at, a.updated_at, k.updated_at)"


def amended(note: str) -> str:
    """Return SQL that joins, as `later`, when an amendment was signed after this one; then its vital signs are gone.

    Whole chains are only followed from amendments: of other notes all amendments there are were signed later.
    """
    return f"""LEFT JOIN LATERAL (SELECT max(after.signed_at) AS signed_at FROM (
            SELECT own.signed_at FROM clinical_notes_clinicalnote AS own WHERE own.amends_id = {note}.id
            UNION ALL SELECT other.signed_at FROM ({chain(note)}) AS other
            WHERE {note}.amends_id IS NOT NULL AND (other.signed_at, other.id) > ({note}.signed_at, {note}.id)
        ) AS after) AS later ON TRUE"""  # noqa: S608  # our own names only


NOTES = Source(
    name="document-note",
    resource=DOCUMENT_REFERENCE,
    model=ClinicalNote,
    permissions=notes.NOTE,
    tables=f"""clinical_notes_clinicalnote AS t
        {visit("t.appointment_id")}
        {amended("t")}
        {OUR_CLINIC}""",
    live="t.is_signed AND NOT t.is_deleted",
    columns={
        **CLINIC,
        "id": "t.id::text",
        "version": version_of(DOCUMENT_CHANGED),
        "updated": instant(DOCUMENT_CHANGED),
        "status": "CASE WHEN later.signed_at IS NULL THEN 'current' ELSE 'superseded' END",
        "doc_status": "CASE WHEN t.amends_id IS NULL THEN 'final' ELSE 'amended' END",
        "type": "t.note_type",
        "patient": "t.patient_id::text",
        "date": instant("t.signed_at"),
        "doctor": "t.doctor_id::text",
        "author": "NULL::text",
        "author_name": "NULL::text",
        "amends": "t.amends_id::text",
        "description": "t.chief_complaint",
        # What a note attaches is a path that a person wrote: nothing shows that the file is this patient's.
        "contents": f"jsonb_build_array(jsonb_build_array(t.id, '{WRITTEN}', NULL))::text",
        "encounter": ENCOUNTER_ID,
        "visit_start": come(instant("a.appointment_datetime")),
        "visit_end": come(instant("a.ends_at")),
    },
    patient="t.patient_id",
    changed=DOCUMENT_CHANGED,
    sealed={"description": "chief_complaint"},
)

RESULT_DOCUMENTS = Source(
    name="document-result",
    resource=DOCUMENT_REFERENCE,
    model=LabResult,
    permissions=laboratory.LAB_RESULT,
    tables=f"""laboratory_labresult AS t
        JOIN laboratory_laborder AS o ON o.id = t.lab_order_id
        LEFT JOIN laboratory_labtest AS k ON k.id = t.lab_test_id
        LEFT JOIN laboratory_inboundmessage AS m ON m.id = t.source_message_id
        LEFT JOIN laboratory_labfeed AS f ON f.id = COALESCE(m.feed_id, o.feed_id)
        {visit("o.appointment_id")}
        {OUR_CLINIC}""",
    live="t.file_attachment <> '' AND t.is_current AND NOT t.is_deleted",
    columns={
        **CLINIC,
        "id": "t.id::text",
        "version": version_of(RESULT_CHANGED),
        "updated": instant(RESULT_CHANGED),
        "status": "'current'",
        "doc_status": """CASE t.status WHEN 'final' THEN 'final' WHEN 'corrected' THEN 'amended'
            WHEN 'cancelled' THEN NULL ELSE 'preliminary' END""",
        "type": "'result'",
        "patient": "o.patient_id::text",
        "date": instant("COALESCE(t.reported_at, t.sent_at, t.created_at)"),
        "doctor": "NULL::text",
        "author": "f.id::text",
        "author_name": text("f.name"),
        "amends": "NULL::text",
        "description": f"COALESCE({text('k.test_name')}, {text('t.code_text_as_sent')}, {text('t.code_as_sent')})",
        "contents": f"""jsonb_build_array(jsonb_build_array(t.id, CASE lower(substring(t.file_attachment FROM '[^.]*$'))
            {" ".join(f"WHEN '{kind}' THEN '{name}'" for kind, name in MEDIA_TYPES.items())}
            ELSE 'application/octet-stream' END, NULL))::text""",
        "encounter": ENCOUNTER_ID,
        "visit_start": "NULL::text",
        "visit_end": "NULL::text",
    },
    patient="o.patient_id",
    changed=RESULT_CHANGED,
    deleted="""SELECT t.id::text, t.updated_at FROM laboratory_labresult AS t
        WHERE t.file_attachment <> '' AND (t.is_deleted OR NOT t.is_current) AND t.updated_at > %s""",
)

SOAP_NOTES = Source(
    name="composition",
    resource=COMPOSITION,
    model=SOAPNote,
    permissions=notes.NOTE_PART,
    tables=f"""clinical_notes_soapnote AS t
        JOIN clinical_notes_clinicalnote AS n ON n.id = t.clinical_note_id
        LEFT JOIN clinical_notes_soapnote AS before ON before.clinical_note_id = n.amends_id AND NOT before.is_deleted
        {visit("n.appointment_id")}
        {amended("n")}
        {OUR_CLINIC}""",
    live="n.is_signed AND NOT n.is_deleted AND NOT t.is_deleted",
    columns={
        **CLINIC,
        "id": "t.id::text",
        "version": version_of(SOAP_CHANGED),
        "updated": instant(SOAP_CHANGED),
        "status": "CASE WHEN n.amends_id IS NULL THEN 'final' ELSE 'amended' END",
        "type": "n.note_type",
        "patient": "n.patient_id::text",
        "encounter": ENCOUNTER_ID,
        "date": instant("n.signed_at"),
        "doctor": "n.doctor_id::text",
        "amends": "before.id::text",
        **{name: f"t.{name}" for name in SOAP_TEXTS},
        "measured": f"""(SELECT jsonb_agg(jsonb_build_array(t.id || '-' || v.kind))::text
            FROM (SELECT) AS this {TAKEN} WHERE v.value IS NOT NULL AND later.signed_at IS NULL)""",  # noqa: S608  # ours
    },
    patient="n.patient_id",
    changed=SOAP_CHANGED,
    sealed=SOAP_TEXTS,
    wide="octet_length(t.subjective) + octet_length(t.objective) + octet_length(t.assessment) + octet_length(t.plan)",
)
