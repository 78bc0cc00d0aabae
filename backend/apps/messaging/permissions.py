"""Who may do what with messages to patients; without it everybody is denied."""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import Role

DESK = (Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST)

CONTACT_RULES: Table = {**allow(READ, *DESK), **allow(WRITE)}
TEMPLATE: Table = {**allow((*READ, "preview", "effective"), *DESK), **allow((*WRITE, "destroy"))}
INBOUND_TEXT: Table = allow((*READ, "handle"), Role.NURSE, Role.RECEPTIONIST)
STAFF_TASK: Table = allow((*READ, "complete"), *DESK)
PATIENT_MESSAGE: Table = allow(READ, *DESK)
PROVIDER_EVENT: Table = allow(READ)
