"""What must hold of claims, files and money, each as one condition; without this list nobody could say what was proved.

Each names the table it looks at, a sentence and SQL of our own names only. `m` is the row; `at` says by which moment of
it a range is cut.
"""

from __future__ import annotations

from typing import NamedTuple

from backend.apps.insurance.submitting import AT_THE_DESK


class Check(NamedTuple):
    sentence: str
    table: str
    at: str
    where: str
    shown: str = "m.id::text"  # what a fault shows of a row: an id, never a value


def one_of(states: dict[str, str]) -> str:
    """Return SQL for how many of these hold of a row."""
    return " + ".join(f"({where})::int" for where in states.values())


SUBMISSION, FILE = "insurance_submission", "insurance_interchange"
SUBMISSION_AT = (
    "coalesce((SELECT f.created_at FROM insurance_interchange f WHERE f.id = m.interchange_id), m.queued_at)"
)
ADDRESSED = "(SELECT f.status FROM insurance_interchange f WHERE f.id = m.interchange_id)"
LEDGER = "(SELECT coalesce(sum(p.amount), 0) FROM insurance_posting p WHERE p.claim_id = m.id AND p.kind = '{}')"
# Whoever was paid before there was a ledger has no entry in it: older than its tables, and nothing ever posted.
LEDGER_SINCE = (
    "(SELECT s.applied FROM django_migrations s WHERE s.app = 'insurance' AND s.name = '0003_claims_pipeline')"
)
BEFORE_LEDGER = f"""m.created_at < {LEDGER_SINCE} AND m.payment_date <= {LEDGER_SINCE}::date
    AND NOT EXISTS (SELECT FROM insurance_posting p WHERE p.claim_id = m.id)
    AND NOT EXISTS (SELECT FROM insurance_remittanceclaim c WHERE c.claim_id = m.id AND c.state = 'posted')
    """  # noqa: S608  # our own names only
# Money is looked at when it moves, which is weeks after the claim or the payment was made.
POSTED_LAST = "(SELECT max(p.posted_at) FROM insurance_posting p WHERE p.{} = m.id)"
CLAIM_MOVED = f"greatest(m.updated_at, {POSTED_LAST.format('claim_id')})"
PART_MOVED = f"""greatest((SELECT r.updated_at FROM insurance_remittance r WHERE r.id = m.remittance_id),
    {POSTED_LAST.format("remittance_claim_id")})"""  # noqa: S608  # our own names only
PAYMENTS = "(SELECT coalesce(sum(c.paid), 0) FROM insurance_remittanceclaim c WHERE c.remittance_id = m.id)"
PROVIDER = "(SELECT coalesce(sum(a.amount), 0) FROM insurance_provideradjustment a WHERE a.remittance_id = m.id)"
HEARD = "EXISTS (SELECT FROM insurance_ackevent e WHERE e.submission_id = m.id AND e.was_applied)"
ENDED_BY_US = (
    f"m.status = 'rejected' AND starts_with(m.status_reason, '{AT_THE_DESK}')"  # a payer that refused by phone
)
JUDGED = "EXISTS (SELECT FROM insurance_remittanceclaim c WHERE c.claim_id = m.claim_id)"
AT_WORK = "m.work_state IN ('waiting', 'running')"

# Each submission and each file of a partner is in exactly one of these: none of them says "everything else".
SUBMISSION_STATES = {
    "acked": "m.status IN ('pending', 'accepted', 'adjudicated')",
    "awaiting": "m.status IN ('batched', 'sent')",
    "rejected": "m.status = 'rejected'",
    "again": "m.status = 'requeued'",
    "withdrawn": "m.status = 'withdrawn'",
    "in line": "m.status = 'queued'",
}
INBOUND_STATES = {
    "applied": "m.status = 'applied'",
    "partly": "m.status = 'partly'",
    "quarantined": "m.status = 'quarantined'",
    "duplicate": "m.status = 'duplicate'",
    "held": "m.status = 'received' AND m.work_state IN ('held', 'failed')",
    "in line": f"m.status = 'received' AND {AT_WORK}",
}
OUTCOMES = {  # by account, in the order in which a person reads them
    SUBMISSION: ("acked", "awaiting", "rejected", "again", "withdrawn"),
    "insurance_inboundfile": ("applied", "partly", "quarantined", "duplicate", "held"),
}

CHECKS = {
    "state of a submission": Check(
        "The submission is in none of the states that count, or in more than one.",
        SUBMISSION, SUBMISSION_AT, f"{one_of(SUBMISSION_STATES)} <> 1",
    ),
    "sent and not sent": Check(
        "The file is sent and the submission still waits in it, or the other way round.",
        SUBMISSION, SUBMISSION_AT,
        f"(m.status = 'batched' AND {ADDRESSED} IN ('sent', 'acknowledged')) "
        f"OR (m.status IN ('sent', 'pending', 'accepted') AND {ADDRESSED} IN ('ready', 'staged', 'speaking'))",
    ),
    "claim left behind": Check(
        "The submission was sent or taken in, and its claim still counts as a draft.",
        SUBMISSION, SUBMISSION_AT,
        "m.status IN ('sent', 'pending', 'accepted') AND EXISTS (SELECT FROM insurance_insuranceclaim c "
        "WHERE c.id = m.claim_id AND c.status = 'draft')",
    ),
    "nobody said so": Check(
        "The submission counts as taken in, refused or judged, and its partner has said nothing of the kind.",
        SUBMISSION, SUBMISSION_AT,
        f"(m.status IN ('pending', 'accepted', 'rejected') AND NOT {HEARD} AND NOT ({ENDED_BY_US})) "
        f"OR (m.status = 'adjudicated' AND NOT {JUDGED})",
    ),
    "answer to a file": Check(
        "The file counts as sent, answered or refused, and nothing says when or by what.",
        FILE, "m.created_at",
        "(m.status IN ('sent', 'acknowledged') AND m.sent_at IS NULL) "
        "OR (m.status = 'acknowledged') <> (m.acknowledged_at IS NOT NULL) "
        "OR (m.status = 'rejected' AND m.status_reason = '')",
    ),
    "two on their way": Check(
        "Two submissions of one claim are on their way at once.",
        SUBMISSION, SUBMISSION_AT,
        "m.status IN ('queued', 'batched', 'sent', 'pending', 'accepted') AND EXISTS (SELECT "
        "FROM insurance_submission o WHERE o.claim_id = m.claim_id AND o.id <> m.id AND o.frequency = m.frequency "
        "AND o.original_reference = m.original_reference "
        "AND o.status IN ('queued', 'batched', 'sent', 'pending', 'accepted'))",
    ),
    "file left behind": Check(
        "The file waits and no machine will come for it, or is settled and a machine still has it.",
        "insurance_inboundfile", "m.received_at",
        "(m.status = 'received') <> (m.work_state <> 'done')",
    ),
    "state of a file": Check(
        "The file is in none of the outcomes that count.",
        "insurance_inboundfile", "m.received_at",
        f"{one_of(INBOUND_STATES)} <> 1",
    ),
    "paid": Check(
        "What the claim says was paid is not the sum of its ledger.",
        "insurance_insuranceclaim", CLAIM_MOVED,
        f"coalesce(m.paid_amount, 0) <> {LEDGER.format('payment')} AND ({BEFORE_LEDGER}) IS NOT TRUE",
    ),
    "patient's share": Check(
        "What the claim says the patient owes is not the sum of its ledger.",
        "insurance_insuranceclaim", CLAIM_MOVED,
        f"coalesce(m.patient_responsibility, 0) <> {LEDGER.format('patient')} AND ({BEFORE_LEDGER}) IS NOT TRUE",
    ),
    "remittance": Check(
        "A payment was posted whose claims and adjustments do not add up to it.",
        "insurance_remittance", "m.updated_at",
        f"m.status IN ('posted', 'partly') AND m.amount <> {PAYMENTS} - {PROVIDER}",
    ),
    "claims of a remittance": Check(
        "A payment does not have as many claims as were read.",
        "insurance_remittance", "m.updated_at",
        "m.status IN ('posted', 'partly') AND m.claims_count <> (SELECT count(*) FROM insurance_remittanceclaim c "
        "WHERE c.remittance_id = m.id)",
    ),
    "posted": Check(
        "A claim of a payment counts as posted, and the ledger holds another amount for it.",
        "insurance_remittanceclaim", PART_MOVED,
        "m.state = 'posted' AND m.paid <> (SELECT coalesce(sum(p.amount), 0) FROM insurance_posting p "
        "WHERE p.remittance_claim_id = m.id AND p.kind = 'payment')",
    ),
    "posted by nobody": Check(
        "The ledger holds entries of a claim that was not posted, or of another claim.",
        "insurance_posting", "m.posted_at",
        "m.remittance_claim_id IS NOT NULL AND NOT EXISTS (SELECT FROM insurance_remittanceclaim c "
        "WHERE c.id = m.remittance_claim_id AND c.state = 'posted' AND c.claim_id = m.claim_id)",
    ),
}  # fmt: skip
