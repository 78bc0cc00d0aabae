"""Makes logins for tests: quick to hash, never twice the same e-mail address."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from backend.apps.core.roles import Role
from backend.apps.users.models import User


def make_user(role: str = Role.RECEPTIONIST, *, password: str | None = None, **over: Any) -> User:
    """Save a login of `role`; without a password nobody can sign in with it, and nothing is hashed."""
    fields: dict[str, Any] = {
        "email": f"{role}.{uuid.uuid4().hex[:12]}@example.org",
        "first_name": "Robin",
        "last_name": "Example",
        "is_verified": True,
        "password": make_password(password),
        **over,
    }
    if fields.get("is_active") is False:
        fields.setdefault("deactivated_at", timezone.now())
    return User.objects.create(role=role, **fields)
