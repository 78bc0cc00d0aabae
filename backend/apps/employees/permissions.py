"""Who may do what with HR's rows; which rows, the models' `access` says, and whose file decides, the services."""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import STAFF

DEPARTMENT: Table = {
    **allow(READ, *STAFF),
    **allow(("create", "update", "partial_update", "destroy")),
}
EMPLOYEE: Table = {
    **allow(READ, *STAFF),
    **allow(("create", "update", "partial_update")),
    **allow(("start_leave", "suspend", "reinstate", "retire", "terminate", "correct_balance")),
}
# Heads of departments may have any role of the staff.
TIME_OFF: Table = {
    **allow(READ, *STAFF),
    **allow(("create", "update", "partial_update", "cancel"), *STAFF),
    **allow(("approve", "deny"), *STAFF),
}
CREDENTIAL: Table = {
    **allow((*READ, "download"), *STAFF),
    **allow(("create", "update", "partial_update", "renew"), *STAFF),
    **allow(("verify", "reject", "destroy")),
}
REVIEW: Table = {
    **allow(READ, *STAFF),
    **allow(("create", "update", "partial_update"), *STAFF),
    **allow(("acknowledge", "comment"), *STAFF),
    **allow(("destroy",)),
}
TIME_OFF_POLICY: Table = {**allow(READ, *STAFF), **allow((*WRITE, "destroy"))}
PTO_ENTRY: Table = allow(READ, *STAFF)
