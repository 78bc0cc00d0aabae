"""What every door has: one audit row for each call, a limit for each address, and whose login it is about."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from rest_framework import status
from rest_framework.exceptions import Throttled
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.apps.core import audit
from backend.apps.core.addresses import client_of
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.core.serializers import Form
from backend.apps.users import throttle
from backend.apps.users.authentication import SessionBoundJwt, caller, session_of
from backend.apps.users.models import LoginSession, User


class Slowed(Throttled):
    """Too many failures from one address; `whose` login it wanted is for the audit log."""

    reason = "throttled"

    def __init__(self, wait_s: int, whose: User | None) -> None:
        super().__init__(wait_s)
        self.whose = whose


class AuthView(APIView):
    """One audit row for each call, whatever its end; no row, no answer."""

    does: ClassVar[str]
    subject: User | None = None  # whose login it is, once that is proved
    aimed_at: User | None = None  # whose login somebody wanted, and was refused
    detail: dict[str, Any]  # more for the audit row

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.detail = {}
        super().initial(request, *args, **kwargs)

    def read(self, form: type[Form]) -> dict[str, Any]:
        taken = form(data=self.request.data)
        taken.is_valid(raise_exception=True)
        return taken.validated_data

    def slow_down(self, wanted: Callable[[], User | None] = lambda: None) -> None:
        """Refuse an address that failed too often, whatever it asks; it says nothing about any login.

        wanted: finds whose login it asked for, by the same statement whether there is one.
        """
        wait_s = throttle.try_to_sign_in(client_of(self.request._request))
        if wait_s is None:
            return
        whose = None
        with suppress(DomainError):
            whose = wanted()
        raise Slowed(wait_s, whose)

    def forgive(self) -> None:
        throttle.forgive_sign_in(client_of(self.request._request))

    def handle_exception(self, exc: Exception) -> Response:
        self.detail = {"reason": reason} if (reason := getattr(exc, "reason", "")) else {}
        self.subject = getattr(exc, "subject", None) or self.subject
        self.aimed_at = getattr(exc, "whose", None)
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code == status.HTTP_401_UNAUTHORIZED:
            response["WWW-Authenticate"] = SessionBoundJwt().authenticate_header(request)
        ok, whose = response.status_code < 400, self.subject or self.aimed_at
        audit.record(
            request,
            self.does,
            "user",
            str(whose.pk) if whose else "",
            outcome=AuditLog.Outcome.ALLOWED if ok else AuditLog.Outcome.REFUSED,
            detail=self.detail if ok else {"status": response.status_code, **self.detail},
            user=self.subject,
        )
        return response


class PublicAuthView(AuthView):
    """For callers without a token; cookies are not read, so there is nothing to forge."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class OwnAuthView(AuthView):
    """For signed-in callers, about themselves."""

    permission_classes = (IsAuthenticated,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.subject = caller(request)

    def session(self) -> LoginSession | None:
        """The caller's sign-in, of a token or a cookie."""
        return session_of(self.request)
