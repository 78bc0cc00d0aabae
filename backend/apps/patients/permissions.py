"""Who may do what with patients; without it everybody is denied."""

from backend.apps.core.permissions import ALL_ROLES, READ, Table, allow
from backend.apps.core.roles import Role

PATIENT: Table = {
    **allow((*READ,), *ALL_ROLES),
    **allow(("search",), *(role for role in ALL_ROLES if role != Role.PATIENT)),
    **allow(("create",), Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST),
    **allow(("update", "partial_update"), Role.NURSE, Role.RECEPTIONIST),
    **allow(("consent",), Role.NURSE, Role.RECEPTIONIST),
    **allow(("merge", "destroy")),
    **allow(("find", "break_glass"), Role.DOCTOR),  # all others who may read charts see every patient
}
EMERGENCY_ACCESS: Table = {**allow((*READ, "end"), Role.DOCTOR), **allow(("review",))}
CONTACT_CONSENT: Table = allow(READ, Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST, Role.PATIENT)
CONTACT_POINT: Table = allow((*READ, "mark_usable"), Role.NURSE, Role.RECEPTIONIST)
