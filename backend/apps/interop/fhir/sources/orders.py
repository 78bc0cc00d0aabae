"""What was asked of laboratories, what was taken for it and what they reported of it, as FHIR."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from backend.apps.core.roles import Role
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from backend.apps.interop.fhir.sources.places import gone
from backend.apps.interop.fhir.sources.visits import ENCOUNTER_ID, visit
from backend.apps.laboratory import permissions
from backend.apps.laboratory.models import LabOrder, LabResult, LabSpecimen
from integrations.fhir.resources.diagnostic_report import DIAGNOSTIC_REPORT
from integrations.fhir.resources.service_request import SERVICE_REQUEST
from integrations.fhir.resources.specimen import SPECIMEN

# What was released of a panel.
OUT = """SELECT FROM laboratory_labresult AS out WHERE out.lab_order_id = t.id AND out.panel_id = panel.id
    AND out.is_current AND out.released_at IS NOT NULL"""


def reported(which: str, suffix: str = "") -> str:
    """Return SQL for what the reported panels of an order are called, of those for which `which` holds."""
    only = f"FILTER (WHERE {which})"
    return f"""count(*) {only} AS n{suffix}, min(panel.panel_code) {only} AS code{suffix},
        string_agg(DISTINCT COALESCE({text("panel.panel_text")}, panel.panel_code), ', ') {only} AS names{suffix}"""


ASKED = f"""LEFT JOIN LATERAL (
        SELECT count(*) AS n, max(k.updated_at) AS changed_at, min(k.test_code) AS code, min(k.code_system) AS system,
            string_agg(k.test_name, ', ' ORDER BY k.test_name, k.id) AS names,
            jsonb_agg(jsonb_build_array(k.test_code, k.code_system, k.test_name) ORDER BY k.test_name, k.id)::text
                AS listed
        FROM laboratory_laborder_tests AS link JOIN laboratory_labtest AS k ON k.id = link.labtest_id
        WHERE link.laborder_id = t.id) AS w ON TRUE
    LEFT JOIN LATERAL (
        SELECT {reported("TRUE")}, {reported(f"EXISTS ({OUT})", "_released")}
        FROM laboratory_reportedpanel AS panel WHERE panel.lab_order_id = t.id) AS p ON TRUE
    {visit("t.appointment_id")}"""  # noqa: S608  # our own names only


def unasked(suffix: str = "") -> dict[str, str]:
    """Return the columns for what an order was for that came with its report: only the laboratory's panels say it."""
    return {
        "code": f"CASE WHEN w.n = 0 AND p.n{suffix} = 1 THEN p.code{suffix} END",
        "code_text": f"CASE WHEN w.n = 0 THEN COALESCE({text(f'p.names{suffix}')}, 'Laboratory order') END",
    }


ORDER = {
    "id": "t.id::text",
    "number": "t.order_number",
    "test": "CASE WHEN w.n = 1 THEN w.code END",
    "test_system": "CASE WHEN w.n = 1 THEN w.system END",
    "test_name": text("w.names"),
    **unasked(),
    **dict.fromkeys(("code_system", "other_code", "other_text", "other_system"), "NULL::text"),
    "patient": "t.patient_id::text",
    "encounter": ENCOUNTER_ID,
}

ORDERED = "greatest(t.updated_at, a.updated_at, w.changed_at)"
ORDERS = Source(
    name="order",
    resource=SERVICE_REQUEST,
    model=LabOrder,
    permissions=permissions.LAB_ORDER,
    tables=f"laboratory_laborder AS t {ASKED}",
    columns={
        **ORDER,
        "version": version_of(ORDERED),
        "updated": instant(ORDERED),
        "placer_number": text("t.placer_order_number"),
        "status": "t.status",
        "priority": "t.priority",
        "tests": "CASE WHEN w.n > 1 THEN w.listed END",
        "collected": instant("t.specimen_collected_at"),
        "authored": instant("t.order_date"),
        "doctor": "t.doctor_id::text",
        "feed": "t.feed_id::text",
        "diagnosis": text("t.diagnosis_code"),
        "indication": text("t.clinical_indication"),
        "cancel_reason": text("t.cancellation_reason"),
    },
    patient="t.patient_id",
    changed=ORDERED,
    deleted=gone("laboratory_laborder"),
    seen_as={Role.PATIENT: unasked("_released")},
)


SETTLED = "r.status IN ('final', 'corrected', 'cancelled')"


def summary(which: str, suffix: str = "") -> str:
    """Return SQL for what the current results of an order say together, of those for which `which` holds."""
    only = f"FILTER (WHERE {which})"
    return f"""jsonb_agg(jsonb_build_array(r.result_key) ORDER BY r.created_at, r.id) {only}::text AS results{suffix},
        min(r.result_date) {only} AS effective{suffix},
        max(COALESCE(r.reported_at, r.sent_at, r.created_at)) {only} AS issued{suffix},
        max(r.updated_at) {only} AS changed_at{suffix},
        CASE WHEN bool_and(r.status = 'cancelled') {only} THEN 'cancelled'
            WHEN t.status IN ('completed', 'cancelled') AND bool_and({SETTLED}) {only} THEN
                CASE WHEN bool_or(r.status = 'corrected') {only} THEN 'corrected' ELSE 'final' END
            WHEN bool_or(r.status IN ('final', 'corrected')) {only} THEN 'partial'
            WHEN bool_or(r.status = 'preliminary') {only} THEN 'preliminary' ELSE 'registered' END AS status{suffix}"""


CURRENT = """SELECT FROM laboratory_labresult AS one
    WHERE one.lab_order_id = t.id AND one.is_current AND NOT one.is_deleted"""
FOUND = f"""LEFT JOIN LATERAL (
        SELECT {summary("TRUE")}, {summary("r.released_at IS NOT NULL", "_released")},
            min(m.feed_id::text) AS feed
        FROM laboratory_labresult AS r LEFT JOIN laboratory_inboundmessage AS m ON m.id = r.source_message_id
        WHERE r.lab_order_id = t.id AND r.is_current AND NOT r.is_deleted) AS d ON TRUE
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_array(sp.id) ORDER BY sp.id)::text AS specimens
        FROM laboratory_labspecimen AS sp WHERE sp.lab_order_id = t.id AND NOT sp.is_deleted) AS s ON TRUE"""  # noqa: S608  # our own names only
REPORTED = "greatest(t.updated_at, d.changed_at, a.updated_at, w.changed_at)"
TOLD = "greatest(t.updated_at, d.changed_at_released, a.updated_at, w.changed_at)"
# All an order held may have become another's, whose panels then still name it: an order of ours by its numbers. One
# that was made for a report was removed when that was found to be another's.
FILED = """(EXISTS (SELECT FROM laboratory_labresult AS one WHERE one.lab_order_id = t.id)
    OR EXISTS (SELECT FROM laboratory_reportedpanel AS panel WHERE panel.patient_id = t.patient_id
        AND panel.lab_order_id <> t.id AND (jsonb_exists(panel.placers, t.order_number)
            OR t.placer_order_number <> '' AND jsonb_exists(panel.placers, t.placer_order_number))))"""
WENT = f"""SELECT t.id::text, t.deleted_at FROM laboratory_laborder AS t
    WHERE t.is_deleted AND (t.is_external OR {FILED})"""  # noqa: S608  # our own names only
EMPTIED = f"""SELECT t.id::text, t.updated_at FROM laboratory_laborder AS t
    WHERE NOT t.is_deleted AND t.status IN ('in_progress', 'completed', 'cancelled') AND NOT EXISTS ({CURRENT})
        AND {FILED}"""  # noqa: S608  # our own names only
RELEASED = Q(Exists(LabResult.objects.filter(lab_order=OuterRef("pk"), is_current=True, released_at__isnull=False)))
REPORTS = Source(
    name="report",
    resource=DIAGNOSTIC_REPORT,
    model=LabOrder,
    permissions=permissions.LAB_RESULT,
    tables=f"laboratory_laborder AS t {FOUND} {ASKED}",
    columns={
        **ORDER,
        "version": version_of(REPORTED),
        "updated": instant(REPORTED),
        "status": "d.status",
        "effective": instant("COALESCE(d.effective, t.specimen_collected_at)"),
        "issued": instant("d.issued"),
        "feed": "COALESCE(d.feed, t.feed_id::text)",
        "specimens": "s.specimens",
        "results": "d.results",
    },
    live=f"NOT t.is_deleted AND EXISTS ({CURRENT})",
    patient="t.patient_id",
    changed=REPORTED,
    deleted=f"SELECT id, at FROM ({WENT} UNION ALL {EMPTIED}) AS went (id, at) WHERE at > %s",  # noqa: S608  # ours
    seen_by={Role.PATIENT: frozenset(DIAGNOSTIC_REPORT.columns) - {"specimens"}},  # patients have no specimens
    seen_as={  # and of an order only what was released to them
        Role.PATIENT: {
            **unasked("_released"),
            "version": version_of(TOLD),
            "updated": instant(TOLD),
            "status": "d.status_released",
            "effective": instant("COALESCE(d.effective_released, t.specimen_collected_at)"),
            "issued": instant("d.issued_released"),
            "results": "d.results_released",
        }
    },
    changed_as={Role.PATIENT: TOLD},
    visible_to={Role.PATIENT: RELEASED},
)

# Its own number of what it reported; not our order's, and not what we call a panel by that came without any.
ACCESSION = "CASE WHEN NOT p.placers @> to_jsonb(p.number) AND p.number !~ '@([0-9]{4}-|$)' THEN p.number END"
SPECIMENS = Source(
    name="specimen",
    resource=SPECIMEN,
    model=LabSpecimen,
    permissions=permissions.LAB_SPECIMEN,
    tables="""laboratory_labspecimen AS t
        JOIN laboratory_laborder AS o ON o.id = t.lab_order_id
        JOIN laboratory_reportedpanel AS p ON p.id = t.panel_id""",
    columns={
        "id": "t.id::text",
        "version": version_of("t.updated_at"),
        "updated": instant("t.updated_at"),
        "number": "CASE WHEN t.specimen_id !~ '^#[0-9]+$' THEN t.specimen_id END",  # else only its place in the report
        "accession": ACCESSION,
        "status": f"CASE WHEN {text('t.reject_reason')} IS NULL THEN 'available' ELSE 'unsatisfactory' END",
        "type_code": text("t.type_code"),
        "type_system": text("t.type_system"),
        "type_text": text("t.type_text"),
        "patient": "o.patient_id::text",
        "received": instant("t.received_at"),
        "order": "t.lab_order_id::text",
        "collected": instant("t.collected_at"),
        "collected_until": instant("CASE WHEN t.collected_until >= t.collected_at THEN t.collected_until END"),
        "site": text("t.site"),
        "condition": text("t.condition"),
        "reject_reason": text("t.reject_reason"),
        "description": text("t.description"),
    },
    patient="o.patient_id",
    deleted=gone("laboratory_labspecimen"),
)
