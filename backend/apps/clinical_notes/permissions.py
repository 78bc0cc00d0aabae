"""Who may do what with notes; without it everybody is denied.

The front desk has no notes; a patient reads signed ones.
"""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import Role

CLINICIANS = (Role.DOCTOR, Role.NURSE)

NOTE: Table = {
    **allow(READ, *CLINICIANS, Role.PATIENT),
    **allow((*WRITE, "amend", "destroy"), *CLINICIANS),
    **allow(("sign",), Role.DOCTOR),
}
NOTE_PART: Table = {**allow(READ, *CLINICIANS, Role.PATIENT), **allow(WRITE, *CLINICIANS)}
TEMPLATE: Table = {**allow(READ, *CLINICIANS), **allow((*WRITE, "destroy"), Role.DOCTOR)}
