"""The two tokens of a sign-in and the strict way back; without it each caller would trust a JWT differently."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from backend.apps.users.models import LoginSession

# What we issue looks like this. Anything else is refused unparsed: a header of nested brackets costs the stack.
SHAPE = re.compile(r"[A-Za-z0-9_-]{1,100}\.[A-Za-z0-9_-]{1,900}\.[A-Za-z0-9_-]{43}")
LONGEST = 1_100


class BadToken(Exception):
    """Forged, expired, of the other kind, or not a token at all."""


@dataclass(frozen=True, slots=True)
class Tokens:
    access: str
    refresh: str
    expires_in: int  # seconds the access token lives


@dataclass(frozen=True, slots=True)
class Claims:
    session_id: UUID
    jti: str


def issue(session: LoginSession) -> Tokens:
    """Return new tokens of `session`; they end with it at the latest, whatever is rotated in between."""
    rules: dict[str, Any] = settings.SIMPLE_JWT
    left = session.created_at + rules["REFRESH_TOKEN_LIFETIME"] - timezone.now()
    lifetime = min(rules["ACCESS_TOKEN_LIFETIME"], left)
    access, refresh = AccessToken(), RefreshToken()
    access.set_exp(lifetime=lifetime)
    refresh.set_exp(lifetime=left)
    refresh["jti"] = session.refresh_jti
    for token in (access, refresh):
        token["sid"] = str(session.pk)
    return Tokens(str(access), str(refresh), max(int(lifetime.total_seconds()), 0))


def read_access(text: str) -> Claims:
    return _read(AccessToken, text)


def read_refresh(text: str) -> Claims:
    return _read(RefreshToken, text)


def _read(kind: type[Token], text: str) -> Claims:
    """Return the claims of a token we signed, that has not expired and is of `kind`.

    Raises:
        BadToken: anything else.
    """
    if len(text) > LONGEST or not SHAPE.fullmatch(text):
        raise BadToken
    try:
        token: Any = kind(text)  # type: ignore[arg-type]  # the library's hint is wrong: it takes the text
        return Claims(UUID(token["sid"]), str(token["jti"]))
    except (TokenError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise BadToken from error
