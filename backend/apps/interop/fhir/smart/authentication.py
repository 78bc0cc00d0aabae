"""Reads the Bearer token of a system and asks the database whether the system may still come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from backend.apps.core.roles import Role
from backend.apps.interop.fhir.smart import scopes, tokens
from backend.apps.interop.models import SmartClient

REFUSAL = "This system may no longer sign in."


@dataclass(frozen=True, eq=False)
class SystemClient:
    """A system that asks: it sees what an administrator sees, of the types its token names; it never writes.

    It is no row of `User`, so code that writes down who did something must not be given it.
    """

    client: SmartClient
    grant: scopes.Grant

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False
    role = Role.ADMIN.value
    pk = None
    id = None

    def allows(self, resource_type: str, does: str) -> bool:
        return scopes.covers(self.grant, resource_type, does)

    def __str__(self) -> str:
        return f"system {self.client.pk}"


class SmartBearer(BaseAuthentication):
    """For FHIR views only. A token of another kind is left to the class that stands after this one."""

    def authenticate(self, request: Request) -> tuple[SystemClient, tokens.Claims] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims = tokens.read(text.strip())
            grant = scopes.read(claims.scopes)
        except (tokens.BadToken, scopes.BadScope):
            return None
        client = SmartClient.objects.filter(pk=claims.client_id, is_active=True).first()
        if client is None or (client.tokens_after is not None and claims.issued_at <= client.tokens_after):
            raise AuthenticationFailed(REFUSAL)
        return SystemClient(client, grant), claims

    def authenticate_header(self, request: Request) -> str:
        presented = get_authorization_header(request)[:7].lower() == b"bearer "
        return 'Bearer realm="carerelay"' + (', error="invalid_token"' if presented else "")  # RFC 6750, 3.1


def client_of(user: Any) -> SmartClient | None:
    """Return the system that asks; None for a person."""
    return user.client if isinstance(user, SystemClient) else None
