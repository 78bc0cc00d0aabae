"""The doors of the second step: set it up, confirm it, and make recovery codes anew."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.users import second_step, services
from backend.apps.users.auth_views import OwnAuthView
from backend.apps.users.authentication import caller
from backend.apps.users.models import LoginSession
from backend.apps.users.serializers import (
    EnrolForm,
    EnrolmentSerializer,
    FreshCodeForm,
    RecoveryCodesSerializer,
    StandingSerializer,
)


class SecondStepView(OwnAuthView):
    """Of a sign-in that acts, or that may do nothing else."""

    is_enrolment = True

    def own(self) -> LoginSession:
        session = self.session()
        if session is None:
            raise PermissionDenied("Sign in first.")
        return session


class StandingView(SecondStepView):
    does = "mfa"

    @extend_schema(responses=StandingSerializer)
    def get(self, request: Request) -> Response:
        """Tell whether there is a second step, whether there has to be, and how many recovery codes are left."""
        return Response(StandingSerializer(second_step.standing(caller(request))).data)


class EnrolView(SecondStepView):
    does = "mfa.enrol"

    @extend_schema(request=EnrolForm, responses=EnrolmentSerializer)
    def post(self, request: Request) -> Response:
        """Return the secret of a new device. It counts once `confirm` had a code of it."""
        given: dict[str, Any] = self.read(EnrolForm)
        self.slow_down()
        shown = services.enrol(self.own(), password=given.get("current_password"), code=given.get("code"))
        self.forgive()
        return Response(EnrolmentSerializer(shown).data)


class ConfirmView(SecondStepView):
    does = "mfa.confirm"

    @extend_schema(request=FreshCodeForm, responses=RecoveryCodesSerializer)
    def post(self, request: Request) -> Response:
        """Let the new device count, end the other sign-ins, and return the recovery codes: they are shown once."""
        given = self.read(FreshCodeForm)
        self.slow_down()
        codes = second_step.confirm(self.own(), given["code"])
        self.forgive()
        return Response({"recovery_codes": codes})


class RecoveryCodesView(SecondStepView):
    does = "mfa.recovery_codes"
    is_enrolment = False

    @extend_schema(request=FreshCodeForm, responses=RecoveryCodesSerializer)
    def post(self, request: Request) -> Response:
        """Make ten new recovery codes for the one who has a fresh code; the old ones are void."""
        given, user = self.read(FreshCodeForm), caller(request)
        self.slow_down()
        codes = services.new_recovery_codes(user, given["code"], session=self.session())
        self.forgive()
        return Response({"recovery_codes": codes})
