"""The doors: tokens, codes, logout, the caller's own data, password and sign-ins, and the logins themselves."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.permissions import Table
from backend.apps.core.views import ClinicViewSet, etag, verb
from backend.apps.users import challenges, cookies, permissions, services, tokens
from backend.apps.users.auth_views import OwnAuthView, PublicAuthView
from backend.apps.users.authentication import caller
from backend.apps.users.models import Kind, Stage, User
from backend.apps.users.serializers import (
    CodeForm,
    DeactivateForm,
    LogoutForm,
    NewUserSerializer,
    PasswordForm,
    ProvenSerializer,
    RefreshForm,
    SessionSerializer,
    SignInForm,
    TokensSerializer,
    UserSerializer,
)
from backend.apps.users.tokens import Tokens


class TokenView(PublicAuthView):
    does = "login"

    @extend_schema(request=SignInForm, responses=ProvenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Sign in by e-mail address and password: tokens, or a challenge that a code answers within five minutes."""
        given = self.read(SignInForm)
        self.slow_down(lambda: services.login_of(given["email"]))
        session = services.sign_in(**given)
        self.subject = session.user
        self.forgive()
        if session.stage == Stage.CODE:
            self.detail = {"second_step": "asked"}
            return Response({"challenge": challenges.issue(session), "expires_in": challenges.LASTS_S})
        return _tokens(tokens.issue(session), must_enrol=session.stage == Stage.ENROL)


class CodeView(PublicAuthView):
    does = "login.code"

    @extend_schema(request=CodeForm, responses=TokensSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Answer the challenge with a code of the device, or with a recovery code: each counts once."""
        given = self.read(CodeForm)
        self.slow_down(lambda: _challenged(challenges.read(given["challenge"])))
        session_id = challenges.read(given["challenge"])
        self.subject = _challenged(session_id)
        session = services.pass_code(session_id, given["code"])
        self.forgive()
        return _tokens(tokens.issue(session))


class RefreshView(PublicAuthView):
    does = "refresh"

    @extend_schema(request=RefreshForm, responses=TokensSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Trade a refresh token for new tokens. Using one twice ends the session."""
        self.slow_down()
        self.subject, issued = services.refresh(self.read(RefreshForm)["refresh"])
        self.forgive()
        return _tokens(issued)


class LogoutView(OwnAuthView):
    does = "logout"
    is_enrolment = True  # whoever will not set up a second step may leave

    @extend_schema(request=LogoutForm, responses={204: None})
    def post(self, request: Request) -> Response:
        """End this session, or every session of the caller; tokens and cookies are dead at once."""
        session, answer = self.session(), Response(status=status.HTTP_204_NO_CONTENT)
        if self.read(LogoutForm)["everywhere"]:
            services.sign_out_everywhere(caller(request), by=caller(request))
        if session is not None:
            services.sign_out(session)
        if session is None or session.kind == Kind.COOKIE:
            cookies.leave(request._request, answer)
        return answer


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
        given, user, session = self.read(PasswordForm), caller(request), self.session()
        self.slow_down()
        services.change_password(user, current=given["current_password"], new=given["new_password"], keep=session)
        self.forgive()
        if session is not None and session.kind == Kind.COOKIE:
            update_session_auth_hash(request._request, user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionsView(OwnAuthView):
    does = "sessions"

    @extend_schema(responses=SessionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the own sign-ins that are open, the latest first."""
        return Response(SessionSerializer(services.own_sessions(caller(request), self.session()), many=True).data)


class SessionView(OwnAuthView):
    does = "end_session"

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: Any) -> Response:
        """End one of the own sign-ins."""
        if not services.end_session(caller(request), pk):
            raise Http404
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
    unlock = verb(services.unlock)
    reset_second_step = verb(services.reset_second_step)

    def get_serializer_class(self) -> type[UserSerializer]:
        return NewUserSerializer if self.action == "create" else UserSerializer


def _challenged(session_id: UUID) -> User | None:
    return User.objects.filter(login_sessions=session_id).first()


def _tokens(issued: Tokens, *, must_enrol: bool = False) -> Response:
    told = {"access": issued.access, "refresh": issued.refresh, "expires_in": issued.expires_in}
    return Response({**told, "must_enrol": True} if must_enrol else told)
