"""Who may do what with appointments; without it everybody is denied.

Nobody deletes an appointment: it is cancelled, with a reason. Laboratory and pharmacy have no appointments.
"""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import Role

DESK = (Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST)

APPOINTMENT: Table = {
    **allow(READ, *DESK, Role.PATIENT),
    **allow(WRITE, *DESK),
    **allow(("confirm", "cancel"), *DESK, Role.PATIENT),
    **allow(("check_in", "start", "complete", "mark_no_show", "came_after_all", "reschedule"), *DESK),
}
REMINDER: Table = allow((*READ, "send_now", "mute"), *DESK)
POLICY: Table = {**allow(READ, *DESK), **allow((*WRITE, "destroy", "replan"))}
WAITLIST_ENTRY: Table = allow((*READ, "create", "withdraw"), *DESK)
WAITLIST_OFFER: Table = allow((*READ, "accept", "decline"), *DESK)
FREED_SLOT: Table = allow(READ, *DESK)
RECALL_RULE: Table = {**allow(READ, *DESK), **allow(WRITE)}
RECALL: Table = allow((*READ, "create", "dismiss"), *DESK)
