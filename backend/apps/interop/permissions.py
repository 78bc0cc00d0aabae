"""Who may do what with bulk exports, the systems that ask for them and the operator's pages; else all are denied.

An export holds every chart at once, so people need the administrator's role. Systems come with scopes of their own.
"""

from backend.apps.core.permissions import READ, WRITE, Table, allow
from backend.apps.core.roles import STAFF

EXPORT: Table = allow((*READ, "create", "download", "cancel", "retry"))
DISCLOSURE: Table = allow(READ)
PATIENT_GROUP: Table = allow((*READ, *WRITE, "destroy"))
SMART_CLIENT: Table = allow((*READ, *WRITE, "destroy", "revoke_tokens"))
RECONCILE: Table = allow((*READ, "create", "retry"))
RETENTION: Table = allow((*READ, *WRITE, "look", "activate", "deactivate", "release"))
RETENTION_RUN: Table = allow(READ)

# Of the console alone: the first page is for all of the staff, its numbers for whoever runs the clinic's machines.
OVERVIEW: Table = {**allow(("index",), *STAFF), **allow(("numbers",))}
WORK: Table = allow((*READ, "retry", "give_up", "correct"))
BEAT: Table = allow(("list", "run"))
AUDIT: Table = allow((*READ, "search"))
# Whose credentials are seen, the models' `access` says.
CREDENTIALS: Table = allow((*READ, "download"), *STAFF)
