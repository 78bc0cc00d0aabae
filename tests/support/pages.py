"""A person at a browser, without one; without it each test of pages would sign in its own way."""

from __future__ import annotations

from typing import Any

from django.test import Client

from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user


def signed_in(who: User | str = "lab_tech") -> Client:
    """Return a client that is signed in as this person, or as a new one of this role."""
    client = Client()
    client.force_login(make_user(who) if isinstance(who, str) else who)
    return client


def search(client: Client, url: str, words: str) -> Any:
    """Return the list of the admin at `url` after these words were typed into its search."""
    return client.post(url, {"q": words}, follow=True)
