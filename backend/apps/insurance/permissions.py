"""Who may do what with coverage and claims: the front desk writes, clinicians read, patients read their own."""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import Role

DESK = Role.RECEPTIONIST
READERS = (Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST, Role.PATIENT)

PROVIDER: Table = {
    **allow(READ, *READERS, Role.PHARMACIST),
    **allow((*WRITE, "destroy"), DESK),
}
PLAN: Table = PROVIDER
COVERAGE: Table = {
    **allow(READ, *READERS, Role.PHARMACIST),
    **allow((*WRITE, "destroy", "verify", "check_eligibility"), DESK),
}
CLAIM: Table = {
    **allow(READ, *READERS),
    **allow((*WRITE, "destroy"), DESK),
    **allow(("scrub", "scrub_each", "submit_each", "withdraw", "correct", "void"), DESK),
    **allow(("submit", "mark_as_pending", "accept", "reject", "reopen", "mark_as_paid", "deny", "appeal"), DESK),
    **allow(("note_payer_number", "ask_status", "close_denial", "denials", "denial_groups"), DESK),
    **allow(("filing_deadlines", "filing_proof", "timeline", "unanswered", "unbilled"), DESK),
}
SUBMISSION: Table = allow(READ, DESK)
PRIOR_ADJUDICATION: Table = allow((*READ, *WRITE, "destroy"), DESK)
BILLING_ENTITY: Table = {**allow(READ, DESK), **allow((*WRITE, "destroy"))}
SERVICE_FACILITY: Table = BILLING_ENTITY
CODE_SET: Table = allow(READ, DESK)
REFERRING_PROVIDER: Table = allow((*READ, *WRITE, "destroy"), DESK)
PARTNER_PAYER: Table = BILLING_ENTITY
TRADING_PARTNER: Table = {
    **allow((*READ, "build_now", "collect_now"), DESK),
    **allow((*WRITE, "destroy", "pause", "resume", "check")),
}
ELIGIBILITY_INQUIRY: Table = allow((*READ, "create", "ask_each"), DESK)
STATUS_INQUIRY: Table = allow(READ, DESK)
DEPOSIT: Table = allow((*READ, *WRITE, "destroy", "match", "unmatch", "bring_in", "missing"), DESK)
INTERCHANGE: Table = {
    **allow((*READ, "send_again", "mark_received", "mark_not_received"), DESK),
    **allow(("download",)),
}
INBOUND_FILE: Table = {**allow((*READ, "retry"), DESK), **allow(("download",))}
REMITTANCE: Table = allow((*READ, "dismiss_whole"), DESK)
REMITTANCE_CLAIM: Table = allow((*READ, "match", "dismiss", "candidates"), DESK)
POSTING: Table = allow(READ, DESK)
PROVIDER_ADJUSTMENT: Table = allow(READ, DESK)
