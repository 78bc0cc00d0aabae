"""Who may do what with tests, orders, results and received messages; without it everybody is denied.

Nobody rewrites or deletes a result: `correct` files another version. Front desk and pharmacy have none of these.
"""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import Role

CARE = (Role.DOCTOR, Role.NURSE, Role.LAB_TECH)

LAB_TEST: Table = {**allow(READ, *CARE), **allow(WRITE, Role.LAB_TECH), **allow(("destroy",))}
LAB_ORDER: Table = {
    **allow(READ, *CARE, Role.PATIENT),
    **allow(WRITE, *CARE),
    **allow(("place", "mark_as_collected", "cancel"), *CARE),
    **allow(("start", "mark_as_completed"), Role.DOCTOR, Role.LAB_TECH),
    **allow(("review",), Role.DOCTOR),
}
LAB_RESULT: Table = {
    **allow(READ, *CARE, Role.PATIENT),
    **allow(("create", "correct"), Role.LAB_TECH),
    **allow(("verify",), Role.DOCTOR, Role.LAB_TECH),
    **allow(("document",), *CARE, Role.PATIENT),
}
LAB_SPECIMEN: Table = allow(READ, *CARE)
LAB_CODE_MAPPING: Table = allow((*READ, "create"), Role.LAB_TECH)
INBOUND_MESSAGE: Table = allow(
    (*READ, "explanation", "reveal", "retry", "assign", "unassign", "skip", "replay"), Role.LAB_TECH
)
LAB_REPLAY: Table = allow((*READ, "difference", "create", "apply", "cancel"), Role.LAB_TECH)
CRITICAL_RESULT: Table = {
    **allow(READ, Role.DOCTOR, Role.LAB_TECH),
    **allow(("acknowledge",), Role.DOCTOR),
    **allow(("note_call",), Role.LAB_TECH),
}
CRITICAL_PAGE: Table = allow(READ, Role.DOCTOR, Role.LAB_TECH)
CRITICAL_POLICY: Table = {**allow(READ), **allow(WRITE)}
LAB_ORDER_MESSAGE: Table = {
    **allow(READ, *CARE),
    **allow(("resend", "mark_as_arrived"), Role.NURSE, Role.LAB_TECH),
}
LAB_FEED: Table = {**allow(READ, Role.LAB_TECH), **allow(WRITE), **allow(("destroy",))}
