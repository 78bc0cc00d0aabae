"""Groups of patients, as FHIR; without them nobody could learn the id a Group export is asked for by."""

from __future__ import annotations

from backend.apps.interop import permissions
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.places import gone
from backend.apps.interop.models import PatientGroup
from integrations.fhir.resources.group import GROUP

MEMBERS = "interop_patientgroupmember AS m JOIN patients_patient AS p ON p.id = m.patient_id"
OF_THIS = "m.group_id = t.id AND NOT p.is_deleted"
CHANGED = f"""greatest(t.updated_at,
    (SELECT max(p.updated_at) FROM {MEMBERS} WHERE m.group_id = t.id AND p.is_deleted))"""  # noqa: S608  # our own names only

GROUPS = Source(
    name="group",
    resource=GROUP,
    model=PatientGroup,
    permissions=permissions.PATIENT_GROUP,
    tables="interop_patientgroup AS t",
    columns={
        "id": "t.id::text",
        "version": version_of(CHANGED),
        "updated": instant(CHANGED),
        "active": "t.is_active::text",
        "description": text("t.description"),
        "name": "t.name",
        "size": f"(SELECT count(*)::text FROM {MEMBERS} WHERE {OF_THIS})",  # noqa: S608  # our own names only
        "members": f"""(SELECT jsonb_agg(jsonb_build_array(p.id) ORDER BY p.id)::text
            FROM {MEMBERS} WHERE {OF_THIS})""",  # noqa: S608  # our own names only
    },
    changed=CHANGED,
    deleted=gone("interop_patientgroup"),
    wide="(SELECT count(*) * 60 FROM interop_patientgroupmember AS m WHERE m.group_id = t.id)",
    system_only=True,
)
