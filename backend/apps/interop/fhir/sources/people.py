"""Doctors, as Practitioner and PractitionerRole. Who signs in is told nobody: they are reached at the practice."""

from __future__ import annotations

from backend.apps.core.roles import Role
from backend.apps.doctors import permissions
from backend.apps.doctors.models import Doctor
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.places import LISTED, OUR_CLINIC, reached
from integrations.fhir.resources.practitioner import PRACTITIONER
from integrations.fhir.resources.practitioner_role import PRACTITIONER_ROLE

TAXONOMY = "^[0-9A-Z]{9}X$"  # what NUCC's codes look like
SPECIALTIES = f"""(SELECT jsonb_agg(jsonb_build_array(
        CASE WHEN s.medical_code ~ '{TAXONOMY}' THEN s.medical_code END, s.name) ORDER BY l.position, l.id)::text
    FROM doctors_doctorspecialization AS l JOIN doctors_specialization AS s ON s.id = l.specialization_id
    WHERE l.doctor_id = t.id)"""  # noqa: S608  # our own names only
HOURS = """(SELECT jsonb_agg(jsonb_build_array(a.day_of_week::text, a.start_time::time(0)::text,
        a.end_time::time(0)::text) ORDER BY a.day_of_week, a.start_time)::text
    FROM doctors_doctoravailability AS a WHERE a.doctor_id = t.id AND a.is_active AND NOT a.is_deleted)"""
LANGUAGES = """(SELECT jsonb_agg(jsonb_build_array(language))::text
    FROM jsonb_array_elements_text(CASE jsonb_typeof(t.languages) WHEN 'array' THEN t.languages ELSE '[]' END)
        AS language)"""
TABLES = f"doctors_doctor AS t JOIN users_user AS u ON u.id = t.user_id {OUR_CLINIC}"
PERSON_CHANGED = "GREATEST(t.updated_at, u.updated_at, c.updated_at)"
ROLE_CHANGED = f"""GREATEST({PERSON_CHANGED},
    (SELECT max(a.updated_at) FROM doctors_doctoravailability AS a WHERE a.doctor_id = t.id),
    (SELECT max(s.updated_at) FROM doctors_doctorspecialization AS l
        JOIN doctors_specialization AS s ON s.id = l.specialization_id WHERE l.doctor_id = t.id))"""  # noqa: S608  # ours
ACTIVE = "(u.is_active AND NOT t.is_deleted)::text"
CONTACTS = {"phone": text("c.phone"), "email": text("c.email")}

PRACTITIONERS = Source(
    name="practitioner",
    resource=PRACTITIONER,
    model=Doctor,
    permissions=permissions.DOCTOR,
    tables=TABLES,
    columns={
        "id": "t.id::text",
        "version": version_of(PERSON_CHANGED),
        "updated": instant(PERSON_CHANGED),
        "npi": "t.npi_number",
        "active": ACTIVE,
        "family": text("u.last_name"),
        "given": text("u.first_name"),
        "license": text("t.license_number"),
        "languages": LANGUAGES,
        **CONTACTS,
        **reached("c"),
    },
    changed=PERSON_CHANGED,
    live="TRUE",
    listed=LISTED,
    seen_by={Role.PATIENT: frozenset(PRACTITIONER.columns) - {"license"}},
)
PRACTITIONER_ROLES = Source(
    name="practitioner-role",
    resource=PRACTITIONER_ROLE,
    model=Doctor,
    permissions=permissions.DOCTOR,
    tables=TABLES,
    columns={
        "id": "t.id::text",
        "version": version_of(ROLE_CHANGED),
        "updated": instant(ROLE_CHANGED),
        "active": ACTIVE,
        "name": text("concat_ws(' ', u.first_name, u.last_name)"),
        "clinic": "c.id::text",
        "reached": f"CASE WHEN c.id IS NOT NULL AND {text('c.phone || c.email')} IS NOT NULL THEN 'true' END",
        "specialties": SPECIALTIES,
        "hours": HOURS,
        **CONTACTS,
    },
    changed=ROLE_CHANGED,
    live="TRUE",
    listed=LISTED,
)
