"""Who may do what with doctors, their credentials and hours; without it everybody is denied."""

from backend.apps.core.permissions import ALL_ROLES, READ, WRITE, Table, allow
from backend.apps.core.roles import STAFF, Role

SPECIALIZATION: Table = {**allow(READ, *ALL_ROLES), **allow((*WRITE, "destroy"))}
DOCTOR: Table = {**allow(READ, *ALL_ROLES), **allow((*WRITE, "destroy"))}
# Those of other doctors are seen by who manages them, of whatever role; the model's `access` says whose.
CREDENTIAL: Table = {
    **allow((*READ, "download"), *STAFF),
    **allow((*WRITE, "renew"), Role.DOCTOR),
    **allow(("verify", "reject", "destroy")),
}
AVAILABILITY: Table = {
    **allow(READ, *ALL_ROLES),
    **allow((*WRITE, "destroy"), Role.RECEPTIONIST, Role.DOCTOR),
}
