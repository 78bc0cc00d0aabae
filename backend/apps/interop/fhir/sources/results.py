"""What laboratories found, as FHIR; the current version of each finding is an Observation."""

from __future__ import annotations

import re
from uuid import UUID

from django.db.models import Q

from backend.apps.core.roles import Role
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources.visits import ENCOUNTER_ID, come, visit
from backend.apps.laboratory import permissions, ucum
from backend.apps.laboratory.models import LabResult
from integrations.fhir.resources.observation import OBSERVATION

KEY = re.compile(r"[0-9a-f]{64}")
NAMED = re.compile(r"([0-9]{1,9})-[0-9a-f]{1,16}")  # a version
CODED = "('CE', 'CNE', 'CWE', 'CF', 'IS', 'ID')"  # HL7 types of value that are an answer from a list
# "< 5" and the like, where it stands for a number. The column is read as it is only where it begins so.
BEGINS = "ascii(t.result_value) IN (60, 62, 32)"  # <, > or a space; cheaper for every row than a text is
BOUNDED = rf"""({BEGINS} AND (t.value_type IN ('', 'NM', 'SN', 'ST') OR t.numeric_value IS NOT NULL)
    AND t.result_value ~ '^\s*[<>]=?\s*-?(0|[1-9][0-9]{{0,17}})(\.[0-9]{{1,10}})?\s*$')"""
# A number that a person wrote down, without more.
PLAIN = r"""(t.value_type IN ('', 'NM', 'SN')
    AND t.result_value ~ '^\s*[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,10})?\s*$')"""
POWERS = {f"10*{power}/{volume}" for power in ucum.POWERS for volume in ucum.VOLUMES.values()}
UNITS = sorted({*ucum.UCUM, *ucum.CASED.values(), *ucum.NAMES.values(), *POWERS})
KNOWN_UNITS = ", ".join(f"E'{unit}'" for unit in UNITS).replace("%", r"\x25")  # a per cent sign is for placeholders
NOTHING = "t.numeric_value IS NULL AND btrim(t.result_value, E' \\t\\r\\n') = ''"
FEED = "COALESCE(m.feed_id, o.feed_id)"
UTC = "AT TIME ZONE INTERVAL '0'"  # by an interval: for each row it costs less than a name does


def moment(expression: str) -> str:
    """Return SQL for what `source.instant` says, with all digits it has: an eighth less work for the server a row.

    By JSON, which writes moments in one form whatever DateStyle the server or the connection has.
    """
    return f"(to_jsonb({expression} {UTC}) #>> '{{}}') || 'Z'"


# A result says nothing of which one it was measured in where its panel has several.
SPECIMEN = """CASE WHEN t.panel_id IS NOT NULL THEN (SELECT min(sp.id::text) FROM laboratory_labspecimen AS sp
    WHERE sp.panel_id = t.panel_id AND NOT sp.is_deleted HAVING count(*) = 1) END"""
ISSUED = "COALESCE(t.reported_at, t.sent_at, t.created_at)"
CHANGED = "greatest(t.updated_at, a.updated_at, k.updated_at)"


HASHES = {"uuid": "uuid_hash_extended", "timestamp": "timestamp_hash_extended", "text": "hashtextextended"}
NOTHING_OF = {"uuid": f"'{UUID(int=0)}'::uuid", "timestamp": "'epoch'::timestamp", "text": "''"}


def hashed(*expressions: str) -> str:
    """Return SQL for a number that stands for all of these, each "<type> <expression>".

    By the functions that cut partitions, so that no release of PostgreSQL changes what they give.
    """
    number = "0"
    for kind, _, expression in (one.partition(" ") for one in expressions):
        number = f"{HASHES[kind]}(COALESCE({expression}, {NOTHING_OF[kind]}), {number})"
    return number


# A laboratory numbers its versions, but of which record, order, visit and test one is told may change, and a late
# report takes the number of another. When it changed is no part of this: a version that was superseded changes then,
# but says what it said.
SAID = hashed(
    "uuid t.id", "uuid t.lab_order_id", "uuid o.patient_id", "uuid t.lab_test_id", f"uuid {come('a.id')}",
    f"timestamp {ISSUED} {UTC}", f"timestamp k.updated_at {UTC}", "text t.file_attachment",
)  # fmt: skip
VERSION = f"t.version || '-' || to_hex({SAID})"
COLUMNS = {
    "id": "t.result_key",
    "version": VERSION,
    "updated": moment(CHANGED),
    "order": "t.lab_order_id::text",
    "status": "t.status",
    "codes": f"""concat_ws(E'\\x1f', COALESCE(k.test_code, ''), COALESCE(k.code_system, ''), COALESCE(k.test_name, ''),
        t.code_as_sent, t.code_text_as_sent, t.code_system_as_sent, t.other_code_as_sent, t.other_text_as_sent,
        t.other_system_as_sent, COALESCE({FEED}::text, ''))""",  # the columns of `observation.named`
    "feed": f"{FEED}::text",
    "patient": "o.patient_id::text",
    "encounter": ENCOUNTER_ID,
    "effective": moment("t.result_date"),
    "issued": moment(ISSUED),
    # The digits that were sent are in the text, where text and number are the same (`observation.digits`).
    "value": rf"""CASE WHEN {BOUNDED} THEN substring(t.result_value FROM '[-0-9.]+')
        WHEN t.numeric_value IS NOT NULL THEN t.numeric_value::text
        WHEN {PLAIN} THEN substring(t.result_value FROM '[-0-9.]+') END""",
    "sent": f"CASE WHEN t.numeric_value IS NOT NULL OR {BOUNDED} OR {PLAIN} THEN t.result_value END",
    "comparator": rf"""CASE WHEN {BEGINS} AND (t.numeric_value IS NOT NULL OR {BOUNDED})
        THEN substring(t.result_value FROM '^\s*([<>]=?)') END""",
    "unit": "t.unit",
    "ucum": f"CASE WHEN t.unit IN ({KNOWN_UNITS}) THEN t.unit END",
    "coded_value": f"""CASE WHEN t.numeric_value IS NULL AND t.value_type IN {CODED}
        THEN NULLIF(t.result_value, '') END""",
    "text_value": f"""CASE WHEN t.numeric_value IS NULL AND t.value_type NOT IN {CODED}
        AND NOT {BOUNDED} AND NOT {PLAIN} THEN NULLIF(t.result_value, '') END""",
    "absent": f"""CASE WHEN {NOTHING} THEN CASE WHEN t.file_attachment <> '' THEN 'document'
        WHEN t.status IN ('pending', 'cancelled') THEN t.status ELSE 'unknown' END END""",
    "flag": """CASE WHEN t.flagged_critical AND t.abnormal_flag NOT IN ('critical_high', 'critical_low')
        THEN 'critical' ELSE NULLIF(t.abnormal_flag, '') END""",
    "note": "t.interpretation",
    "specimen": SPECIMEN,
    "range": "t.reference_range",
    "document": "CASE WHEN t.file_attachment <> '' THEN t.id::text END",
}
TABLES = f"""laboratory_labresult AS t
    JOIN laboratory_laborder AS o ON o.id = t.lab_order_id
    LEFT JOIN laboratory_labtest AS k ON k.id = t.lab_test_id
    LEFT JOIN laboratory_inboundmessage AS m ON m.id = t.source_message_id
    {visit("o.appointment_id")}"""


def by_key(fhir_id: str) -> Q | None:
    return Q(result_key=fhir_id, is_current=True) if KEY.fullmatch(fhir_id) else None


def by_version(fhir_id: str, version: str) -> Q | None:
    """Return the filter for the version that has this number now; whether it says what it said is for who reads it."""
    named = NAMED.fullmatch(version)
    return Q(result_key=fhir_id, version=int(named[1]), is_deleted=False) if named and KEY.fullmatch(fhir_id) else None


# A merge of two records leaves one name to a finding that both had.
DROPPED = "SELECT t.result_key, t.dropped_at FROM laboratory_droppedfinding AS t WHERE t.dropped_at > %s"
TRACES = """(SELECT t.result_key, o.patient_id FROM laboratory_labresult AS t
        JOIN laboratory_laborder AS o ON o.id = t.lab_order_id
    UNION ALL SELECT result_key, patient_id FROM laboratory_droppedfinding) AS t (result_key, patient_id)
    CROSS JOIN LATERAL (SELECT t.patient_id) AS o"""


RESULTS = Source(
    name="observation-lab",
    resource=OBSERVATION,
    model=LabResult,
    permissions=permissions.LAB_RESULT,
    tables=TABLES,
    columns=COLUMNS,
    live="t.is_current AND NOT t.is_deleted",
    patient="o.patient_id",
    changed=CHANGED,
    deleted=DROPPED,
    traces=TRACES,
    by_id=by_key,
    past=by_version,
    seen_by={Role.PATIENT: frozenset(COLUMNS) - {"specimen"}},  # patients have no specimens
    wide="octet_length(t.result_value) + octet_length(t.interpretation)",
)
