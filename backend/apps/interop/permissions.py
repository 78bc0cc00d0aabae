"""Who may do what with bulk exports and the systems that ask for them; without it everybody is denied.

An export holds every chart at once, so people need the administrator's role. Systems come with scopes of their own.
"""

from backend.apps.core.permissions import READ, WRITE, Table, allow

EXPORT: Table = allow((*READ, "create", "download", "cancel", "retry"))
DISCLOSURE: Table = allow(READ)
PATIENT_GROUP: Table = allow((*READ, *WRITE, "destroy"))
SMART_CLIENT: Table = allow((*READ, *WRITE, "destroy", "revoke_tokens"))
