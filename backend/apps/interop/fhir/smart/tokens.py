"""The token a system reads with: five minutes, for FHIR only; the kind people sign in by is no substitute for it."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import jwt
from django.conf import settings

LIFETIME_S = 300
ISSUER, AUDIENCE, TYPE = "carerelay", "carerelay-fhir", "at+jwt"
CLAIMS = ("iss", "aud", "sub", "iat", "exp", "jti", "scope")
# What we issue looks like this. Anything else is refused unparsed: a header of nested brackets costs the stack.
HEADER = jwt.encode({}, "-" * 32, algorithm="HS256", headers={"typ": TYPE}).partition(".")[0]
SHAPE = re.compile(HEADER + r"\.[A-Za-z0-9_-]{1,4000}\.[A-Za-z0-9_-]{43}")


class BadToken(Exception):
    """Forged, expired, of another kind, or not a token at all."""


@dataclass(frozen=True, slots=True)
class Claims:
    client_id: UUID
    scopes: tuple[str, ...]
    issued_at: datetime
    jti: str


def issue(client_id: UUID, scopes: list[str], *, now: datetime) -> str:
    """Return a token that is good from now (the database's) for `LIFETIME_S` seconds."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(client_id),
        "iat": now.timestamp(),
        "exp": int(now.timestamp()) + LIFETIME_S,
        "jti": uuid.uuid4().hex,
        "scope": " ".join(scopes),
    }
    return jwt.encode(claims, settings.JWT_SIGNING_KEY, algorithm="HS256", headers={"typ": TYPE})


def read(text: str) -> Claims:
    """Return the claims of a token of ours that has not expired.

    Raises:
        BadToken: anything else.
    """
    if not SHAPE.fullmatch(text):
        raise BadToken
    try:
        found = jwt.decode_complete(
            text,
            settings.JWT_SIGNING_KEY,
            algorithms=["HS256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": list(CLAIMS), "verify_iat": False},  # by the database's clock, which may be ahead
        )
        if found["header"].get("typ") != TYPE:
            raise BadToken
        claims = found["payload"]
        issued_at = datetime.fromtimestamp(claims["iat"], UTC)
        return Claims(UUID(claims["sub"]), tuple(claims["scope"].split()), issued_at, claims["jti"])
    except (jwt.InvalidTokenError, ValueError, AttributeError, TypeError) as error:
        raise BadToken from error
