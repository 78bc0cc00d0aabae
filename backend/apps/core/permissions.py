"""Who may do what, as tables that can be read aloud; what is not listed is denied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from backend.apps.core.roles import Role

Table = dict[str, frozenset[str]]

READ = ("list", "retrieve")
WRITE = ("create", "update", "partial_update")
ALL_ROLES = tuple(Role)


def allow(actions: Iterable[str], *roles: str) -> Table:
    """Return rows that let `roles` do each of `actions`; the administrator is in every row."""
    return {action: frozenset({Role.ADMIN.value, *map(str, roles)}) for action in actions}


def may(user: Any, action: str | None, table: Table) -> bool:
    """Return whether the table lets this user do `action`."""
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return False
    return user.role in table.get(action or "", frozenset())


ALERT: Table = allow((*READ, "acknowledge", "resolve"), Role.LAB_TECH)


class RolePermission(BasePermission):
    """Allow an action when the caller's role stands in `view.permissions[action]`; deny what is not listed."""

    message = "Your role may not do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        action = getattr(view, "action", None)
        if action is None and hasattr(view, "action_map") and request.user.is_authenticated:
            raise MethodNotAllowed(request.method or "")  # nobody may: that is another answer than "not your role"
        return may(request.user, action, getattr(view, "permissions", {}))
