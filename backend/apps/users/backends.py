"""The admin site's sign-in: the same proof, counts and audit as the API's."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from backend.apps.users import cookies
from backend.apps.users.models import User

LISTENS = (cookies,)  # to every sign-in of Django, which reads this file first


class StaffPassword(BaseBackend):
    """Whom the cookie of a page belongs to. Nobody is let in here: `sign_in_pages` does that, with the second step."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        """Refuse: a password alone is no way in.

        Raises:
            PermissionDenied: always.
        """
        raise PermissionDenied
