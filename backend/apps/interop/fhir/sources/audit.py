"""The audit log, as FHIR: for administrators and for systems that watch over access."""

from __future__ import annotations

from backend.apps.core.models import AuditLog
from backend.apps.core.views import AuditLogViewSet
from backend.apps.interop.fhir.source import Source, instant, text
from backend.apps.interop.fhir.sources.documents import CLINIC
from backend.apps.interop.fhir.sources.places import OUR_CLINIC
from integrations.fhir.resources.audit_event import AUDIT_EVENT

# The audit log's words for rows that are resources of the same id here; FHIR's own doors use FHIR's words.
OURS = {
    "patient": "Patient",
    "doctor": "Practitioner",
    "clinic": "Organization",
    "insuranceprovider": "Organization",
    "labfeed": "Organization",
    "servicefacility": "Location",
    "appointment": "Appointment",
    "laborder": "ServiceRequest",
    "labspecimen": "Specimen",
    "medication": "Medication",
    "prescription": "MedicationRequest",
    "patientinsurance": "Coverage",
    "insuranceclaim": "Claim",
    "clinicalnote": "DocumentReference",
    "soapnote": "Composition",
    "patientgroup": "Group",
}
THEIRS = (
    "Practitioner", "PractitionerRole", "Organization", "Location", "Patient", "Group", "Coverage", "Appointment",
    "Encounter", "ServiceRequest", "Specimen", "DiagnosticReport", "Observation", "Medication", "MedicationRequest",
    "Claim", "ExplanationOfBenefit", "DocumentReference", "Composition", "Provenance", "AuditEvent", "Binary",
)  # fmt: skip
KINDS = ", ".join(f"('{word}', '{name}')" for word, name in {**OURS, **{name: name for name in THEIRS}}.items())
INTERACTIONS = {
    "list": "search-type",
    "search": "search-type",
    "retrieve": "read",
    "read": "read",
    "vread": "vread",
    "create": "create",
    "update": "update",
    "partial_update": "patch",
    "destroy": "delete",
    "delete": "delete",
}
READING = ("list", "search", "retrieve", "read", "vread", "view", "download", "document", "preview", "reveal")
SIGN_INS = ("login", "logout", "refresh", "me", "change_password", "token")
WORD = "substring(t.action FROM '[^.]*$')"  # "console.list" is a list
CLIENT = "CASE WHEN t.detail->>'client' ~ '^[0-9a-f-]{36}$' THEN t.detail->>'client' END"
NAMED = "t.resource_id ~ '^[A-Za-z0-9.-]{1,64}$'"


KNOWN = " ".join(f"WHEN {WORD} = '{word}' THEN '{name}'" for word, name in INTERACTIONS.items())


def among(words: tuple[str, ...]) -> str:
    quoted = (f"'{word}'" for word in words)
    return f"{WORD} IN ({', '.join(quoted)})"


AUDIT = Source(
    name="audit",
    resource=AUDIT_EVENT,
    model=AuditLog,
    permissions=AuditLogViewSet.permissions,
    tables=f"""core_auditlog AS t
        LEFT JOIN (VALUES {KINDS}) AS known (word, type) ON known.word = t.resource_type
        LEFT JOIN doctors_doctor AS d ON d.user_id = t.user_id
        {OUR_CLINIC}""",
    live="TRUE",
    columns={
        **CLINIC,
        "id": "t.id::text",
        "version": "'1'",  # a row of the log never changes
        "updated": instant("t.timestamp"),
        "type": f"CASE WHEN {among(SIGN_INS)} THEN 'sign-in' ELSE 'rest' END",
        "interaction": f"CASE {KNOWN} WHEN NOT {among(SIGN_INS)} THEN 'operation' END",
        "verb": "t.action",
        "action": f"""CASE WHEN {among(READING)} THEN 'R' WHEN {WORD} = 'create' THEN 'C'
            WHEN {WORD} IN ('update', 'partial_update') THEN 'U' WHEN {WORD} IN ('destroy', 'delete') THEN 'D'
            ELSE 'E' END""",
        "outcome": "t.outcome",
        "doctor": "d.id::text",
        "actor": f"COALESCE('user/' || t.user_id, 'client/' || {CLIENT})",
        "machine": f"""CASE WHEN t.user_id IS NULL AND {CLIENT} IS NULL THEN
            CASE WHEN t.ip_address IS NULL THEN 'CareRelay' ELSE 'Somebody who is not signed in' END END""",
        "entity": f"""CASE WHEN {NAMED} AND NOT (known.type = 'Patient' AND t.patient_id IS NOT NULL)
            THEN known.type || '/' || t.resource_id END""",
        "other": f"CASE WHEN {NAMED} AND known.type IS NULL THEN {text('t.resource_type')} || '/' || t.resource_id END",
        "patient": "t.patient_id::text",
    },
    named="t.patient_id",
    changed="t.timestamp",
    system_only=True,
)
