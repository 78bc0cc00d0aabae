"""Who may do what with medications, prescriptions and refills; without it everybody is denied.

Doctors prescribe and approve, pharmacists dispense, patients ask for refills. The front desk has none of these.
"""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import Role

CARE = (Role.DOCTOR, Role.NURSE, Role.PHARMACIST)

MEDICATION: Table = {**allow(READ, *CARE), **allow(WRITE, Role.PHARMACIST), **allow(("destroy",))}
PRESCRIPTION: Table = {
    **allow(READ, *CARE, Role.PATIENT),
    **allow((*WRITE, "cancel"), Role.DOCTOR),
    **allow(("fill",), Role.PHARMACIST),
    **allow(("hold", "resume"), Role.DOCTOR, Role.PHARMACIST),
}
PRESCRIPTION_REFILL: Table = {
    **allow(READ, *CARE, Role.PATIENT),
    **allow(("create", "withdraw"), *CARE, Role.PATIENT),
    **allow(("approve", "deny"), Role.DOCTOR),
    **allow(("mark_as_filled",), Role.PHARMACIST),
}
