"""Asks the database whether the sign-in of a request still holds; reads its Bearer token where it has one."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.exceptions import PermissionDenied as NotAllowed
from rest_framework.request import Request

from backend.apps.core import statements
from backend.apps.users import timeouts, tokens
from backend.apps.users.models import Kind, LoginSession, Stage, User
from backend.apps.users.models.sessions import idle

SEEN_EVERY = timedelta(minutes=1)
REFUSAL = "Sign in again."
ENROL_FIRST = "Set up a second step first: /api/v1/auth/mfa/enrol/."
POLL = "X-Poll"  # a header of requests that a page makes by itself
ANY_SESSION, ANY_KIND = UUID(int=0), "?"  # stand in the SQL for what is asked for


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
        session = usable(claims.session_id, Kind.TOKEN)
        if session is None:
            timeouts.end(claims.session_id)
            raise AuthenticationFailed(REFUSAL)
        if session.stage == Stage.ENROL and not getattr(_view(request), "is_enrolment", False):
            raise NotAllowed(ENROL_FIRST)
        see(session, request)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="carerelay"'


def usable(session_id: UUID, kind: str) -> LoginSession | None:
    """Return the session with its user while it may still act. Every request asks; its SQL is worked out once.

    A session at `Stage.ENROL` is returned too: whoever asks has to keep it to that.
    """
    sql, values = _session_sql(settings.IDLE_MIN)
    told: dict[Any, Any] = {ANY_SESSION: session_id, ANY_KIND: kind}
    with statements.cursor() as cursor:
        cursor.execute(sql, [told.get(value, value) for value in values])
        row = cursor.fetchone()
    if row is None:
        return None
    names, theirs = _columns()
    session: LoginSession = LoginSession.from_db(connection.alias, names, row[: len(names)])
    session.user = User.from_db(connection.alias, theirs, row[len(names) :])
    return session


@cache
def _columns() -> tuple[list[str], list[str]]:
    """Return the names of what the SQL brings, of the session and of its user."""
    names, theirs = ([field.attname for field in model._meta.concrete_fields] for model in (LoginSession, User))
    return names, theirs


@cache
def _session_sql(_idle_min: float) -> tuple[str, tuple[Any, ...]]:
    rows = LoginSession.objects.in_time(Stage.OPEN, Stage.ENROL).select_related("user")
    is_open = {"user__is_active": True, "user__is_deleted": False}
    return rows.filter(pk=ANY_SESSION, kind=ANY_KIND, **is_open).query.sql_with_params()


def see(session: LoginSession, request: HttpRequest | Request) -> None:
    """Note that the session is in use, at most once a minute. A page that asks by itself is no use of it."""
    every = min(SEEN_EVERY, idle() / 5)
    if POLL in request.headers or timezone.now() - session.last_seen_at <= every:
        return
    LoginSession.objects.filter(pk=session.pk, last_seen_at__lt=Now() - every).update(last_seen_at=Now())


def session_of(request: HttpRequest | Request) -> LoginSession | None:
    """Return the sign-in that whoever asks came with, by token or by cookie."""
    auth = getattr(request, "auth", None)
    found = auth or getattr(getattr(request, "_request", request), "login_session", None)
    return found if isinstance(found, LoginSession) else None


def _view(request: Request) -> Any:
    return (request.parser_context or {}).get("view")


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
