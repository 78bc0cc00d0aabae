"""Vital signs of signed notes, as FHIR: each one that was taken is an Observation."""

from __future__ import annotations

from django.db.models import Q

from backend.apps.clinical_notes import permissions
from backend.apps.clinical_notes.models import SOAPNote
from backend.apps.interop.fhir.source import Source, by_uuid, instant, version_of
from backend.apps.interop.fhir.sources.visits import ENCOUNTER_ID, come, visit
from integrations.fhir.resources.vital_signs import VITAL_SIGN, VITAL_SIGNS

VALUES = {
    "bp": "t.blood_pressure_systolic",
    "heart-rate": "t.heart_rate",
    "respiratory-rate": "t.respiratory_rate",
    "body-temperature": "t.temperature",
    "body-weight": "t.weight",
    "body-height": "t.height",
    "oxygen-saturation": "t.oxygen_saturation",
    "bmi": "round(t.weight * 10000 / (t.height * t.height), 1)",
}
TAKEN = f"""CROSS JOIN LATERAL (VALUES {", ".join(f"('{kind}', ({sql})::numeric)" for kind, sql in VALUES.items())})
    AS v (kind, value)"""
CHANGED = "greatest(t.updated_at, n.updated_at, a.updated_at)"


def chain(note: str) -> str:
    """Return SQL for all notes that amend each other, this one too: (id, amends_id, created_at, signed_at).

    Which of them were written is known by `created_at`, which stand is known by `signed_at`; drafts have none.
    """
    told = ("id", "amends_id", "created_at", "signed_at")
    own, others = (", ".join(f"{row}.{name}" for name in told) for row in (note, "other"))
    return f"""WITH RECURSIVE chain AS (SELECT {own} UNION SELECT {others} FROM clinical_notes_clinicalnote AS other
        JOIN chain ON other.amends_id = chain.id OR other.id = chain.amends_id) SELECT * FROM chain"""  # noqa: S608  # our own names only


# A signed amendment says anew what its note said, so the one signed last is what holds.
HOLDS = f"""(NOT EXISTS (SELECT FROM clinical_notes_clinicalnote AS later
        WHERE later.amends_id = n.id AND later.is_signed)
    AND (n.amends_id IS NULL OR n.id = (SELECT last.id FROM ({chain("n")}) AS last
        WHERE last.signed_at IS NOT NULL ORDER BY last.signed_at DESC, last.id DESC LIMIT 1)))"""  # noqa: S608  # ours
WRITTEN = f"""CASE WHEN n.amends_id IS NULL THEN n.created_at
    ELSE (SELECT min(of.created_at) FROM ({chain("n")}) AS of) END"""  # noqa: S608  # our own names only


def by_name(fhir_id: str) -> Q | None:
    """Return the filter for "<key of a SOAP note>-<kind>"."""
    return by_uuid(fhir_id[:36]) if kind_of(fhir_id) in VITAL_SIGNS else None


def kind_of(fhir_id: str) -> str:
    return fhir_id[37:] if fhir_id[36:37] == "-" else ""


def pressure(column: str) -> str:
    return f"CASE WHEN v.kind = 'bp' THEN t.blood_pressure_{column}::text END"


VITALS = Source(
    name="observation-vital-signs",
    resource=VITAL_SIGN,
    model=SOAPNote,
    permissions=permissions.NOTE_PART,
    tables=f"""clinical_notes_soapnote AS t
        JOIN clinical_notes_clinicalnote AS n ON n.id = t.clinical_note_id
        {visit("n.appointment_id")}
        {TAKEN}""",
    columns={
        "id": "t.id || '-' || v.kind",
        "version": version_of(CHANGED),
        "updated": instant(CHANGED),
        "kind": "v.kind",
        "status": "CASE WHEN n.amends_id IS NULL THEN 'final' ELSE 'amended' END",
        "patient": "n.patient_id::text",
        "encounter": ENCOUNTER_ID,
        "effective": instant(f"COALESCE({come('COALESCE(a.started_at, a.checked_in_at)')}, {WRITTEN})"),
        "issued": instant("n.signed_at"),
        "doctor": "n.doctor_id::text",
        "value": "CASE WHEN v.kind <> 'bp' THEN v.value::text END",
        "measured": "CASE WHEN v.kind = 'bmi' THEN t.id::text END",
        "systolic": pressure("systolic"),
        "diastolic": pressure("diastolic"),
    },
    live=f"v.value IS NOT NULL AND n.is_signed AND NOT n.is_deleted AND NOT t.is_deleted AND {HOLDS}",
    patient="n.patient_id",
    changed=CHANGED,
    part="v.kind",
    deleted=f"""SELECT t.id || '-' || v.kind, min(later.signed_at) FROM clinical_notes_clinicalnote AS later
        CROSS JOIN LATERAL ({chain("later")}) AS n JOIN clinical_notes_soapnote AS t ON t.clinical_note_id = n.id
        {TAKEN} WHERE later.amends_id IS NOT NULL AND later.signed_at > %s AND v.value IS NOT NULL
            AND (n.signed_at, n.id) < (later.signed_at, later.id) GROUP BY t.id, v.kind""",  # noqa: S608  # our own names only
    by_id=by_name,
    by_part=kind_of,
)
