"""Reads the Bearer token of a request and asks the database whether its sign-in still holds."""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from backend.apps.users import tokens
from backend.apps.users.models import LoginSession, User

SEEN_EVERY = timedelta(minutes=1)
REFUSAL = "Sign in again."


class SessionBoundJwt(BaseAuthentication):
    """Bearer tokens whose session row is alive. The user, the role and the refusal come from the database alone."""

    def authenticate(self, request: Request) -> tuple[User, LoginSession] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims = tokens.read_access(text.strip())
        except tokens.BadToken as error:
            raise AuthenticationFailed(REFUSAL) from error
        session = LoginSession.objects.usable().select_related("user").filter(pk=claims.session_id).first()
        if session is None:
            raise AuthenticationFailed(REFUSAL)
        _see(session)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="carerelay"'


def _see(session: LoginSession) -> None:
    """Note that the session is in use, at most once a minute."""
    if timezone.now() - session.last_seen_at > SEEN_EVERY:
        LoginSession.objects.filter(pk=session.pk, last_seen_at__lt=Now() - SEEN_EVERY).update(last_seen_at=Now())


def caller(request: HttpRequest | Request) -> User:
    """Return who is signed in; for code behind a door that only lets users in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "backend.apps.users.authentication.SessionBoundJwt"
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
