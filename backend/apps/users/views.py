"""The doors: tokens, logout, the caller's own data and password, and the logins themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import logout as end_cookie_session
from django.contrib.auth import update_session_auth_hash
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import Throttled
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.apps.core import audit
from backend.apps.core.addresses import client_of
from backend.apps.core.models import AuditLog
from backend.apps.core.permissions import Table
from backend.apps.core.serializers import Form
from backend.apps.core.views import ClinicViewSet, etag, verb
from backend.apps.users import permissions, services, throttle
from backend.apps.users.authentication import SessionBoundJwt, caller
from backend.apps.users.models import LoginSession, User
from backend.apps.users.serializers import (
    DeactivateForm,
    LogoutForm,
    NewUserSerializer,
    PasswordForm,
    RefreshForm,
    SignInForm,
    TokensSerializer,
    UserSerializer,
)
from backend.apps.users.tokens import Tokens


class AuthView(APIView):
    """One audit row for each call, whatever its end; no row, no answer."""

    does: ClassVar[str]
    subject: User | None = None  # whose login it is, once that is known

    def read(self, form: type[Form]) -> dict[str, Any]:
        taken = form(data=self.request.data)
        taken.is_valid(raise_exception=True)
        return taken.validated_data

    def slow_down(self, login: str = "") -> None:
        wait = throttle.attempt(client_of(self.request._request), login)
        if wait:
            raise Throttled(wait)

    def forgive(self, login: str = "") -> None:
        throttle.forgive(client_of(self.request._request), login)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code == status.HTTP_401_UNAUTHORIZED:
            response["WWW-Authenticate"] = SessionBoundJwt().authenticate_header(request)
        ok = response.status_code < 400
        audit.record(
            request,
            self.does,
            "user",
            str(self.subject.pk) if self.subject else "",
            outcome=AuditLog.Outcome.ALLOWED if ok else AuditLog.Outcome.REFUSED,
            detail={} if ok else {"status": response.status_code},
            user=self.subject,
        )
        return response


class PublicAuthView(AuthView):
    """For callers without a token; cookies are not read, so there is nothing to forge."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class TokenView(PublicAuthView):
    does = "login"

    @extend_schema(request=SignInForm, responses=TokensSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Sign in by e-mail address and password."""
        given = self.read(SignInForm)
        self.slow_down(given["email"])
        self.subject, issued = services.sign_in(**given)
        self.forgive(given["email"])
        return _tokens(issued)


class RefreshView(PublicAuthView):
    does = "refresh"

    @extend_schema(request=RefreshForm, responses=TokensSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Trade a refresh token for new tokens. Using one twice ends the session."""
        self.slow_down()
        self.subject, issued = services.refresh(self.read(RefreshForm)["refresh"])
        self.forgive()
        return _tokens(issued)


class OwnAuthView(AuthView):
    """For signed-in callers, about themselves."""

    permission_classes = (IsAuthenticated,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.subject = caller(request)

    def session(self) -> LoginSession | None:
        """The token's session; None for a caller with the admin site's cookie."""
        return self.request.auth if isinstance(self.request.auth, LoginSession) else None


class LogoutView(OwnAuthView):
    does = "logout"

    @extend_schema(request=LogoutForm, responses={204: None})
    def post(self, request: Request) -> Response:
        """End this session, or every session of the caller; its tokens are dead at once."""
        session = self.session()
        if self.read(LogoutForm)["everywhere"]:
            services.sign_out_everywhere(caller(request), by=caller(request))
        if session is not None:
            services.sign_out(session)
        else:
            end_cookie_session(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(OwnAuthView):
    does = "me"

    @extend_schema(responses=UserSerializer)
    def get(self, request: Request) -> Response:
        """Tell the caller who he is."""
        answer = UserSerializer(request.user, context={"request": request}).data
        return Response(answer, headers={"ETag": etag(request.user)})


class PasswordView(OwnAuthView):
    does = "change_password"

    @extend_schema(request=PasswordForm, responses={204: None})
    def post(self, request: Request) -> Response:
        """Change the own password; every other session ends."""
        given, user = self.read(PasswordForm), caller(request)
        self.slow_down(user.email)
        services.change_password(
            user, current=given["current_password"], new=given["new_password"], keep=self.session()
        )
        self.forgive(user.email)
        if self.session() is None:
            update_session_auth_hash(request._request, user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class UserViewSet(ClinicViewSet):
    queryset = User.objects.all()
    serializer_class = UserSerializer
    permissions: ClassVar[Table] = permissions.USERS
    creates = services.create
    updates = services.update
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "email": ["exact"],
        "role": ["exact"],
        "is_active": ["exact"],
        "is_verified": ["exact"],
    }
    search_fields = ("email", "last_name", "first_name")
    ordering_fields = ("created_at", "email", "last_name")

    deactivate = verb(services.deactivate, takes=DeactivateForm)
    reactivate = verb(services.reactivate)
    sign_out_everywhere = verb(services.sign_out_everywhere)

    def get_serializer_class(self) -> type[UserSerializer]:
        return NewUserSerializer if self.action == "create" else UserSerializer


def _tokens(issued: Tokens) -> Response:
    return Response({"access": issued.access, "refresh": issued.refresh, "expires_in": issued.expires_in})
