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
    **allow((*WRITE, "destroy", "verify"), DESK),
}
CLAIM: Table = {
    **allow(READ, *READERS),
    **allow((*WRITE, "destroy"), DESK),
    **allow(("submit", "mark_as_pending", "accept", "reject", "reopen", "mark_as_paid", "deny", "appeal"), DESK),
}
