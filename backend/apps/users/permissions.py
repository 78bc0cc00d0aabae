"""Who may do what with logins."""

from backend.apps.core.permissions import ALL_ROLES, READ, WRITE, Table, allow

USERS: Table = {
    **allow(READ, *ALL_ROLES),  # everybody but the administrator finds only the own row
    **allow(WRITE),
    **allow(("deactivate", "reactivate", "sign_out_everywhere")),
}
