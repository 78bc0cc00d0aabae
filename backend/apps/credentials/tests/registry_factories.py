"""Makes look-ups in registries for tests; without it each test would know their finding by heart."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from backend.apps.credentials.models import RegistryCheck
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user


def make_registry_check(user: User | None = None, **over: Any) -> RegistryCheck:
    """Save that somebody of a doctor's name is excluded, in the edition of October, not settled yet."""
    fields = {
        "source": "leie",
        "edition": "2026-10-20",
        "outcome": "perhaps_excluded",
        "finding": {"by": "name", "lines": [7], "entries": ["00ff"], "excluded_on": "2024-09-19"},
        "checked_at": timezone.now(),
        "loaded_at": timezone.now(),
    }
    return RegistryCheck.objects.create(user=user or make_user(role="doctor"), **{**fields, **over})
