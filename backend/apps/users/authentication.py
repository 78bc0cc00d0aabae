"""Reads the Bearer token of a request and asks the database whether its sign-in still holds."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from backend.apps.core import statements
from backend.apps.users import tokens
from backend.apps.users.models import LoginSession, User

SEEN_EVERY = timedelta(minutes=1)
REFUSAL = "Sign in again."
ANY_SESSION = UUID(int=0)  # stands in the SQL for the one that is asked for


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
        session = _usable(claims.session_id)
        if session is None:
            raise AuthenticationFailed(REFUSAL)
        _see(session)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="carerelay"'


def _usable(session_id: UUID) -> LoginSession | None:
    """Return the session with its user while it may still act. Every request asks; its SQL is worked out once."""
    sql, values = _session_sql()
    with statements.cursor() as cursor:
        cursor.execute(sql, [session_id if value == ANY_SESSION else value for value in values])
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
def _session_sql() -> tuple[str, tuple[Any, ...]]:
    query = LoginSession.objects.usable().select_related("user").filter(pk=ANY_SESSION).query
    return query.sql_with_params()


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
