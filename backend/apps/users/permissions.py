"""Who may do what with logins. Everybody but the administrator finds only the own row, and changes little of it."""

from backend.apps.core.permissions import ALL_ROLES, READ, Table, allow

USERS: Table = {
    **allow((*READ, "partial_update"), *ALL_ROLES),  # which fields: services.update
    **allow(
        ("create", "update", "deactivate", "reactivate", "sign_out_everywhere", "unlock", "reset_second_step"),
    ),
}
