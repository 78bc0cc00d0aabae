"""Who may do what with the watch over credentials; without it everybody is denied."""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import STAFF

POLICY: Table = {**allow(READ, *STAFF), **allow((*WRITE, "destroy"))}
RULES: Table = allow((*READ, *WRITE))
# Everybody sees what is told of their own credentials; whose those are, the models' `access` says.
ALERT: Table = {**allow(READ, *STAFF), **allow(("sweep",))}
NOTICE: Table = allow(READ, *STAFF)
