"""What the practice asks payers for and what they made of it, as FHIR."""

from __future__ import annotations

from backend.apps.insurance import permissions
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.interop.fhir.source import Source, instant, text, version_of
from integrations.fhir.resources.claim import CLAIM
from integrations.fhir.resources.explanation_of_benefit import EXPLANATION_OF_BENEFIT

# A merge moves the coverage alone; the practice's own name is told where no billing entity is.
CHANGED = """greatest(t.updated_at, cover.updated_at, taken.changed_at, plan.updated_at, billing.updated_at,
    referring.updated_at, CASE WHEN billing.id IS NULL THEN clinic.updated_at END)"""
# A claim is cancelled when another one takes it back, and that one says so of itself too.
TABLES = """insurance_insuranceclaim AS t
    JOIN insurance_patientinsurance AS cover ON cover.id = t.patient_insurance_id
    JOIN insurance_insuranceplan AS plan ON plan.id = cover.insurance_plan_id
    LEFT JOIN (
        SELECT id, name, updated_at FROM core_clinic WHERE NOT is_deleted ORDER BY created_at LIMIT 1) AS clinic ON TRUE
    LEFT JOIN insurance_billingentity AS billing ON billing.id = t.billing_entity_id
    LEFT JOIN insurance_referringprovider AS referring ON referring.id = t.referring_provider_id
    LEFT JOIN LATERAL (
        SELECT max(void.updated_at) AS changed_at,
            bool_or(NOT void.is_deleted AND void.status NOT IN ('draft', 'rejected')) AS back
        FROM insurance_insuranceclaim AS void WHERE void.original_id = t.id AND void.frequency = '8'
    ) AS taken ON TRUE"""
STATUS = "CASE WHEN t.frequency = '8' OR taken.back THEN 'cancelled' {draft} ELSE 'active' END"

# Who sees no billing entities and no referring providers in /api/v1 sees no numbers of theirs here, and no ledger.
READERS = permissions.CLAIM["list"] - permissions.BILLING_ENTITY["list"]
BILLING = {"billing_npi", "referring_npi"}


def procedure(expression: str) -> str:
    """Return SQL for two columns: the code where it is one of CPT (it begins with a digit), and of HCPCS otherwise."""
    return f"""CASE WHEN {expression} ~ '^[0-9]' THEN {expression} END,
        CASE WHEN {expression} !~ '^[0-9]' THEN {expression} END"""


# A line's own doctor stands in the care team behind the claim's (1) and who referred the patient (2).
PLACE = "(line.number + 2)::text"


def lines(more: str = "") -> str:
    """Return SQL for the lines of a claim, as `LINE_COLUMNS` names their parts, and what else is asked for."""
    return f"""(SELECT jsonb_agg(jsonb_build_array(
        line.number::text,
        CASE WHEN line.rendering_doctor_id IS NOT NULL THEN {PLACE} WHEN t.rendering_doctor_id IS NOT NULL THEN '1' END,
        (SELECT jsonb_agg(jsonb_build_array(place))::text FROM string_to_table(line.pointers, ',') AS place),
        {procedure("line.code")},
        {text("line.description")},
        (SELECT jsonb_agg(jsonb_build_array({procedure("modifier")}))::text
            FROM string_to_table(line.modifiers, ',') AS modifier WHERE modifier <> ''),
        line.service_from::text,
        CASE WHEN line.service_to > line.service_from THEN line.service_to::text END,
        COALESCE(NULLIF(line.place_of_service, ''), NULLIF(t.place_of_service, '')),
        line.units::text,
        CASE WHEN line.unit_basis = 'MJ' THEN 'true' END,
        CASE WHEN round(line.charge / line.units, 2) * line.units = line.charge
            THEN round(line.charge / line.units, 2)::text END,
        line.charge::text,
        NULLIF(line.ndc, ''), line.ndc_quantity::text, NULLIF(line.ndc_unit, '')
        {more}) ORDER BY line.number)::text
    FROM insurance_claimline AS line WHERE line.claim_id = t.id)"""  # noqa: S608  # our own names only


# What the ledger holds now, entry by entry; what was taken back is gone from the sums.
ENTRIES = """SELECT CASE
        WHEN entry.kind = 'payment' THEN 'benefit'
        WHEN entry.kind = 'contractual' THEN 'discount'
        WHEN entry.kind = 'other' THEN 'noncovered'
        WHEN entry.reason = '1' THEN 'deductible'
        WHEN entry.reason = '2' THEN 'coinsurance'
        WHEN entry.reason = '3' THEN 'copay'
        ELSE 'memberliability' END AS category,
        CASE WHEN entry."group" <> '' AND entry.reason <> '' THEN entry."group" || '-' || entry.reason END AS told,
        NULLIF(entry.reason, '') AS reason, sum(entry.amount)::text AS amount
    FROM insurance_posting AS entry WHERE entry.claim_id = t.id AND entry.line_id {of}
    GROUP BY 1, 2, 3 HAVING sum(entry.amount) <> 0"""


def entries(of: str, also: str = "") -> str:
    """Return SQL for the entries of a claim whose line is as `of` says; `also`: what comes before them."""
    found = ENTRIES.replace("{of}", of)
    return f"""(SELECT jsonb_agg(jsonb_build_array(category, told, reason, amount)
        ORDER BY category <> 'submitted', category, reason, told)::text
        FROM ({also}{found}) AS entries)"""  # noqa: S608  # our own names only


CHARGED = "SELECT 'submitted' AS category, NULL AS told, NULL AS reason, line.charge::text AS amount UNION ALL "
COLUMNS = {
    "id": "t.id::text",
    "version": version_of(CHANGED),
    "updated": instant(CHANGED),
    "number": "t.claim_number",
    "patient": "cover.patient_id::text",
    "first_day": "t.service_date::text",
    "last_day": """(SELECT greatest(t.service_date, max(COALESCE(line.service_to, line.service_from)))::text
        FROM insurance_claimline AS line WHERE line.claim_id = t.id)""",
    "insurer": "plan.provider_id::text",
    "clinic": "clinic.id::text",
    "billing_npi": text("billing.npi"),
    "billing_name": f"COALESCE({text('billing.name')}, {text('clinic.name')}, 'The practice')",
    "rendering": "t.rendering_doctor_id::text",
    "line_doctors": f"""(SELECT
        jsonb_agg(jsonb_build_array({PLACE}, line.rendering_doctor_id) ORDER BY line.number)::text
        FROM insurance_claimline AS line
        WHERE line.claim_id = t.id AND line.rendering_doctor_id IS NOT NULL)""",  # noqa: S608  # our own names only
    "referring_npi": text("referring.npi"),
    "referring_name": text("concat_ws(' ', referring.first_name, referring.last_name)"),
    "diagnoses": """(SELECT jsonb_agg(jsonb_build_array(place::text, code) ORDER BY place)::text
        FROM jsonb_array_elements_text(t.diagnosis_codes) WITH ORDINALITY AS diagnosis (code, place))""",
    "coverage": "t.patient_insurance_id::text",
    "billed": "t.billed_amount::text",
}

CLAIMS = Source(
    name="claim",
    resource=CLAIM,
    model=InsuranceClaim,
    permissions=permissions.CLAIM,
    tables=TABLES,
    columns={
        **COLUMNS,
        "status": STATUS.format(draft="WHEN t.status = 'draft' THEN 'draft'"),
        "created": "COALESCE(t.submission_date::text, " + instant("t.created_at") + ")",
        "original": "t.original_id::text",
        "first_claim": "t.secondary_to_id::text",
        "authorization": text("t.prior_authorization"),
        "accident_on": "t.accident_on::text",
        "accident": text("t.accident"),
        "accident_state": text("t.accident_state"),
        "lines": lines(),
    },
    patient="cover.patient_id",
    changed=CHANGED,
    deleted="SELECT t.id::text, t.deleted_at FROM insurance_insuranceclaim AS t WHERE t.deleted_at > %s",
    seen_by=dict.fromkeys(READERS, frozenset(CLAIM.columns) - BILLING),
)

# The entries of the ledger are for the desk, as in /api/v1; the others see the sums that the claim itself has.
WITHOUT_LEDGER = {"lines": lines(", NULL"), "claim_entries": "NULL::text"}
JUDGED = "t.status IN ('paid', 'denied', 'appealed')"
POSTED = "EXISTS (SELECT FROM insurance_posting AS entry WHERE entry.claim_id = t.id)"
EXPLAINED = f"({JUDGED} OR {POSTED})"
# Only a payer's own word takes a judgement back, and it was posted. What was refused unjudged never was explained.
ONCE = f"""({EXPLAINED} OR EXISTS (SELECT FROM insurance_remittanceclaim AS said
    WHERE said.claim_id = t.id AND said.state = 'posted'))"""

EXPLANATIONS = Source(
    name="explanation-of-benefit",
    resource=EXPLANATION_OF_BENEFIT,
    model=InsuranceClaim,
    permissions=permissions.CLAIM,
    tables=TABLES,
    live=f"NOT t.is_deleted AND {EXPLAINED}",
    columns={
        **COLUMNS,
        "payer_number": text("t.insurance_reference_number"),
        "status": STATUS.format(draft=""),
        "created": "COALESCE(t.response_date::text, " + instant("t.updated_at") + ")",
        "outcome": f"CASE WHEN {JUDGED} THEN 'complete' ELSE 'partial' END",
        "disposition": text("t.denial_reason"),
        "lines": lines(f", {entries('= line.id', CHARGED)}"),
        "claim_entries": entries("IS NULL"),
        "allowed": "t.allowed_amount::text",
        "paid": "t.paid_amount::text",
        "patient_share": "t.patient_responsibility::text",
        "paid_on": "CASE WHEN t.paid_amount IS NOT NULL THEN t.payment_date::text END",
        "payment_reference": text("t.payment_reference"),
    },
    patient="cover.patient_id",
    changed=CHANGED,
    seen_by=dict.fromkeys(READERS, frozenset(EXPLANATION_OF_BENEFIT.columns) - BILLING),
    seen_as=dict.fromkeys(READERS, WITHOUT_LEDGER),
    # A denial that is taken back before anything was posted leaves nothing to explain.
    deleted=f"""SELECT t.id::text, COALESCE(t.deleted_at, t.updated_at) FROM insurance_insuranceclaim AS t
        WHERE COALESCE(t.deleted_at, t.updated_at) > %s AND (t.is_deleted OR NOT {EXPLAINED}) AND {ONCE}""",  # noqa: S608  # ours
)
