"""Cookie sessions of the pages; without this they would outlive what ends the tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth import HASH_SESSION_KEY, login, logout
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from backend.apps.users import authentication, timeouts
from backend.apps.users.models import Ended, Kind, LoginSession, Stage, User

KEY = "login_session"
BACKEND = "backend.apps.users.backends.StaffPassword"
GONE = {
    Ended.IDLE: "You were signed out because nothing happened for a while.",
    Ended.EXPIRED: "You were signed out because the day is over. Sign in again.",
}
CLEARS = '"cache", "cookies", "storage"'


class SessionBoundCookie(AuthenticationMiddleware):
    """Let `request.user` be who the cookie's sign-in belongs to while that may act, asked for in one query."""

    def process_request(self, request: HttpRequest) -> None:
        request.user = SimpleLazyObject(lambda: _user(request))  # type: ignore[assignment]  # as Django does it
        request.auser = sync_to_async(lambda: _user(request))  # type: ignore[assignment, method-assign]


def hold(request: HttpRequest, session: LoginSession) -> None:
    """Let the cookie carry a sign-in that has more to prove; whatever it carried before is gone."""
    _drop(request, session)
    request.session[KEY] = str(session.pk)


def enter(request: HttpRequest, session: LoginSession) -> None:
    """Let the cookie act as the user of `session`, which is open; the id of the cookie's session is another one."""
    request.login_session = session  # type: ignore[attr-defined]  # ours
    _drop(request, session)
    login(request, session.user, backend=BACKEND)


@receiver(user_logged_in)
def begin(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Tie whoever Django has just signed in to a sign-in of ours, so that there is no cookie without one."""
    session = getattr(request, "login_session", None)
    if session is None or session.user_id != user.pk:
        session = LoginSession.objects.create(user=user, kind=Kind.COOKIE, refresh_jti="")
        request.login_session = session  # type: ignore[attr-defined]  # ours
    request.session[KEY] = str(session.pk)


def leave(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """End the cookie's sign-in and let the browser forget what it kept."""
    key = _key(request)
    if key is not None:
        LoginSession.objects.filter(pk=key).revoke(Ended.LOGOUT)
    logout(request)
    answer["Clear-Site-Data"] = CLEARS
    return answer


def pending(request: HttpRequest) -> LoginSession | None:
    """Return the cookie's sign-in that waits for a code or has to set up a second step; None when it has neither."""
    key = _key(request)
    if key is None:
        return None
    rows = LoginSession.objects.filter(pk=key, kind=Kind.COOKIE).select_related("user")
    return rows.pending().first() or rows.usable(Stage.ENROL).first()


def _drop(request: HttpRequest, session: LoginSession) -> None:
    """Forget what the cookie carried, and end the sign-in it belonged to, where that is another one."""
    key = _key(request)
    if key is not None and key != session.pk:
        LoginSession.objects.filter(pk=key).revoke(Ended.LOGOUT)
    request.session.flush()


def _user(request: HttpRequest) -> User | AnonymousUser:
    if not hasattr(request, "_cached_user"):
        request._cached_user = _asked(request) or AnonymousUser()  # type: ignore[attr-defined]  # where Django keeps it
    return request._cached_user  # type: ignore[attr-defined, no-any-return]


def _asked(request: HttpRequest) -> User | None:
    key = _key(request)
    if key is None:
        return None
    session = authentication.usable(key, Kind.COOKIE)
    if session is None:
        _gone(request, key)
        return None
    if session.stage != Stage.OPEN or not session.user.ties(request.session.get(HASH_SESSION_KEY, "")):
        return None
    authentication.see(session, request)
    request.login_session = session  # type: ignore[attr-defined]  # ours
    return session.user


def _gone(request: HttpRequest, key: UUID) -> None:
    """Say why, when its time was over. One that waits for a code is no use here, but is not gone."""
    why = timeouts.end(key)
    if why:
        messages.info(request, GONE[Ended(why)], fail_silently=True)


def _key(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.session.get(KEY, ""))
    except (ValueError, AttributeError, TypeError):
        return None
