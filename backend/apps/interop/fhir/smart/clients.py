"""What happens to the systems that may sign in: registered, changed, their tokens withdrawn."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from backend.apps.core.exceptions import DomainError
from backend.apps.interop.fhir.smart import keys, scopes
from backend.apps.interop.models import SmartClient
from backend.apps.users.models import User


@transaction.atomic
def register(*, by: User | None, **values: Any) -> SmartClient:
    """Add a system; its id is the client_id it signs in by."""
    client = SmartClient(**values)
    _check(client)
    client.save()
    return client


@transaction.atomic
def change(client: SmartClient, *, by: User | None, **values: Any) -> SmartClient:
    """Change a system; tokens of before end when what they stood for has changed."""
    row = SmartClient.objects.select_for_update().get(pk=client.pk)
    for name, value in values.items():
        setattr(row, name, value)
    _check(row)
    row.save()
    if {"jwks", "jwks_url", "scopes", "is_active"} & set(values):
        return revoke_tokens(row, by=by)
    return row


@transaction.atomic
def revoke_tokens(client: SmartClient, *, by: User | None) -> SmartClient:
    """End every token of a system at once; it may ask for a new one."""
    row = SmartClient.objects.select_for_update().filter(pk=client.pk)
    list(row)  # first, so that the moment of the next statement is after that of any token being issued
    row.update(tokens_after=Now(), updated_at=Now())
    client.refresh_from_db()
    return client


def key_fault(jwks: Any, jwks_url: str) -> str:
    """Return why the system cannot be known by these keys, as a sentence; "" when it can."""
    if (jwks is None) == (not jwks_url):
        return "Give the keys either inline or by URL."
    return keys.fault(jwks) if jwks is not None else keys.address_fault(jwks_url)


def name_fault(client: SmartClient, name: str) -> str:
    """Return why the system cannot bear this name, as a sentence; names of those that are on file Django tells."""
    gone = SmartClient.all_objects.filter(name=name, is_deleted=True).exclude(pk=client.pk)
    return "A system of this name was deleted; give it another name." if gone.exists() else ""


def scope_fault(text: str) -> str:
    if "?" in text:
        return "A scope with a condition cannot be registered: we would have to give more than it says."
    try:
        grant = scopes.read(text.split())
    except scopes.BadScope:
        grant = {}
    if not grant:
        return "Scopes are system/*.rs, or system/<type>.rs for each type of R4 it may read."
    strange = sorted(set(grant) - scopes.OURS - {scopes.ANY})
    return f"We have no {', '.join(strange)}; name the types we have." if strange else ""


def _check(client: SmartClient) -> None:
    client.scopes = " ".join(client.scopes.split())
    sentence = key_fault(client.jwks, client.jwks_url) or scope_fault(client.scopes) or name_fault(client, client.name)
    if sentence:
        raise DomainError(sentence)
    client.full_clean()
