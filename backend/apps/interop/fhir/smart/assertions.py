"""Proves which system asks for a token, by an assertion it signed; each of them opens the door once.

Source: RFC 7523, section 3; SMART App Launch 2.2, "Client authentication: asymmetric".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.interop.fhir.smart import keys
from backend.apps.interop.models import SmartAssertion, SmartClient

# Longer ones are refused unparsed: a header of nested brackets costs the stack.
SHAPE = re.compile(r"[A-Za-z0-9_-]{1,1200}\.[A-Za-z0-9_-]{1,4000}\.[A-Za-z0-9_-]{1,1400}")
LONGEST_S = 300
SKEW_S = 60
LONGEST_JTI = 255
PROVEN_BY = ("jwks", "jwks_url", "scopes", "tokens_after")
UNPROVEN = "The client is not known, or the assertion is not signed with a key of it."


class Refused(Exception):
    """An error of RFC 6749, section 5.2 or 4.1.2.1.

    reason: a word for the audit. The sentence quotes nothing that was sent.
    """

    def __init__(self, error: str, sentence: str, *, reason: str) -> None:
        super().__init__(sentence)
        self.error, self.reason = error, reason


@dataclass(frozen=True, slots=True)
class Assertion:
    """What was sent, not yet believed."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def client_id(self) -> UUID | None:
        """Return the client it says it is from, when that may be one of ours."""
        issuer = self.claims.get("iss")
        try:
            found = UUID(issuer) if isinstance(issuer, str) else None
        except ValueError:
            return None
        return found if str(found) == issuer else None


def read(text: str) -> Assertion:
    if not SHAPE.fullmatch(text):
        raise Refused("invalid_client", "The assertion is not a signed JWT.", reason="malformed")
    try:
        found = jwt.decode_complete(text, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise Refused("invalid_client", "The assertion is not a signed JWT.", reason="malformed") from None
    return Assertion(text, found["header"], found["payload"])


def proven(assertion: Assertion, *, audience: str) -> SmartClient:
    """Return the client, if it is one of ours and this assertion is its own, good now, and was never used.

    Raises:
        Refused: otherwise.
    """
    _check_header(assertion.header)
    claimed = assertion.client_id
    client = SmartClient.objects.filter(pk=claimed, is_active=True).first() if claimed else None
    if client is None:
        raise Refused("invalid_client", UNPROVEN, reason="unknown_client")
    if "jku" in assertion.header and (not client.jwks_url or assertion.header["jku"] != client.jwks_url):
        raise Refused("invalid_client", "The jku is not the one this client is registered with.", reason="other_jku")
    # Before the signature, whose key we may have to fetch: what is not for us or not for now moves nothing.
    expires_at = _check_claims(assertion.claims, audience=audience, now=timezone.now())
    if not _is_signed(assertion, client):
        raise Refused("invalid_client", UNPROVEN, reason="unsigned")
    _use_up(client, assertion.claims["jti"], expires_at)
    return client


def still_proven(client: SmartClient) -> SmartClient:
    """Return the client as it is now, locked, if nothing that it was proven by has changed since.

    Raises:
        Refused: it was closed, or its keys, scopes or tokens were changed or withdrawn in the meantime.
    """
    row = SmartClient.objects.select_for_update(no_key=True).filter(pk=client.pk, is_active=True).first()
    if row is None or any(getattr(row, name) != getattr(client, name) for name in PROVEN_BY):
        raise Refused("invalid_client", UNPROVEN, reason="changed")
    return row


def _check_header(header: dict[str, Any]) -> None:
    if header.get("alg") not in keys.ALGORITHMS:
        raise Refused("invalid_client", "Assertions are signed by RS384 or ES384.", reason="other_algorithm")
    if str(header.get("typ", "")).upper() != "JWT" or "crit" in header:
        raise Refused("invalid_client", 'The header of an assertion has "typ": "JWT" and no "crit".', reason="header")
    if not isinstance(header.get("kid"), str) or not header["kid"]:
        raise Refused("invalid_client", "The header of an assertion names its key by kid.", reason="no_kid")


def _is_signed(assertion: Assertion, client: SmartClient) -> bool:
    kid, algorithm = assertion.header["kid"], assertion.header["alg"]
    known = client.jwks if client.jwks is not None else keys.published(client.jwks_url, kid)
    if known is None:
        sentence = "The keys of this client cannot be looked at just now; try again in a minute."
        raise Refused("temporarily_unavailable", sentence, reason="keys_unseen")
    return any(_verifies(assertion.text, key, algorithm) for key in keys.candidates(known, kid, algorithm))


def _verifies(text: str, key: keys.PublicKey, algorithm: str) -> bool:
    try:
        jwt.PyJWS().decode(text, key, algorithms=[algorithm])
    except (jwt.InvalidTokenError, ValueError):
        return False
    return True


def _check_claims(claims: dict[str, Any], *, audience: str, now: datetime) -> datetime:
    """Return until when the assertion must not come again."""
    if claims.get("sub") != claims.get("iss"):
        raise Refused("invalid_client", "iss and sub are both the client_id.", reason="other_subject")
    if claims.get("aud") not in (audience, [audience]):
        raise Refused("invalid_client", "aud is the address of the token endpoint.", reason="other_audience")
    at_s = now.timestamp()
    ends_s = _moment(claims, "exp")
    if ends_s is None or not at_s - SKEW_S < ends_s <= at_s + LONGEST_S + SKEW_S:
        raise Refused("invalid_client", "exp is at most five minutes ahead and not over.", reason="expiry")
    for name in ("iat", "nbf"):
        begins_s = _moment(claims, name)
        if name in claims and (begins_s is None or begins_s > at_s + SKEW_S):
            raise Refused("invalid_client", f"{name} is a moment in the past.", reason="not_yet")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise Refused("invalid_client", f"jti is a text of 1 to {LONGEST_JTI} characters.", reason="no_jti")
    return datetime.fromtimestamp(ends_s, UTC) + timedelta(seconds=2 * SKEW_S)


def _moment(claims: dict[str, Any], name: str) -> float | None:
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if -1e11 < found < 1e11 else None  # neither infinite, nor NaN, nor too large for a float


def _use_up(client: SmartClient, jti: str, expires_at: datetime) -> None:
    digest = hashlib.sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()
    _, is_new = SmartAssertion.objects.get_or_create(client=client, jti=digest, defaults={"expires_at": expires_at})
    if not is_new:
        raise Refused("invalid_client", "This assertion was used before.", reason="replayed")


def forget_expired() -> int:
    """Delete the assertions that have expired, for they are refused by their age; return how many."""
    return SmartAssertion.objects.filter(expires_at__lt=Now()).delete()[0]
