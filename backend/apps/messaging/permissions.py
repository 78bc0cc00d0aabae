"""Who may do what with messages to patients; without it everybody is denied."""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import Role

DESK = (Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST)

TEMPLATE: Table = {**allow((*READ, "preview", "effective"), *DESK), **allow((*WRITE, "destroy"))}
