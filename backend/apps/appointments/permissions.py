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
    **allow(("check_in", "start", "complete", "mark_no_show", "reschedule"), *DESK),
}
REMINDER: Table = allow((*READ, "send_now", "mute"), *DESK)
