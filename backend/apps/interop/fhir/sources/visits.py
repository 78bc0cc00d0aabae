"""Visits, as FHIR: what is planned is an Appointment, and an Encounter too once the patient has come."""

from __future__ import annotations

from backend.apps.appointments import permissions
from backend.apps.appointments.models import Appointment
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.places import OUR_CLINIC, gone
from integrations.fhir.resources.appointment import APPOINTMENT
from integrations.fhir.resources.encounter import ENCOUNTER

COME = "('checked_in', 'in_progress', 'completed')"


def visit(appointment: str) -> str:
    """Return SQL that joins a visit under the alias a, come or not: its encounter comes and goes with its changes."""
    return f"LEFT JOIN appointments_appointment AS a ON a.id = {appointment}"


def come(expression: str) -> str:
    """Return SQL for what is told of the visit a once the patient has come."""
    return f"CASE WHEN a.status IN {COME} AND NOT a.is_deleted THEN {expression} END"


ENCOUNTER_ID = come("a.id::text")


VISIT = {
    "id": "t.id::text",
    "version": version_of("t.updated_at"),
    "updated": instant("t.updated_at"),
    "status": "t.status",
    "kind": "t.appointment_type",
    "reason": text("t.reason"),
    "patient": "t.patient_id::text",
    "doctor": "t.doctor_id::text",
    "room": text("t.location"),
}
APPOINTMENTS = Source(
    name="appointment",
    resource=APPOINTMENT,
    model=Appointment,
    permissions=permissions.APPOINTMENT,
    tables=f"appointments_appointment AS t {OUR_CLINIC}",
    columns={
        **VISIT,
        "cancel_reason": text("t.cancellation_reason"),
        "start": instant("t.appointment_datetime"),
        "end": instant("t.ends_at"),
        "minutes": "t.duration_minutes::text",
        "created": instant("t.created_at"),
        "has_place": f"COALESCE(c.id::text, {text('t.location')})",
        "place": "c.id::text",
    },
    patient="t.patient_id",
    deleted=gone("appointments_appointment"),
)
ENCOUNTERS = Source(
    name="encounter",
    resource=ENCOUNTER,
    model=Appointment,
    permissions=permissions.APPOINTMENT,
    tables=f"appointments_appointment AS t {OUR_CLINIC}",
    columns={
        **VISIT,
        "start": instant("COALESCE(t.checked_in_at, t.started_at, t.appointment_datetime)"),
        "end": instant("t.checked_out_at"),
        "is_virtual": "CASE WHEN t.appointment_type = 'telemedicine' THEN 'true' END",
        "clinic": "c.id::text",
    },
    live=f"t.status IN {COME} AND NOT t.is_deleted",
    patient="t.patient_id",
    deleted="""SELECT id::text, gone_at FROM (
        SELECT t.id, COALESCE(t.deleted_at, t.cancelled_at) AS gone_at FROM appointments_appointment AS t
        WHERE t.checked_in_at IS NOT NULL) AS come WHERE gone_at > %s""",  # who came and left again had an encounter
)
