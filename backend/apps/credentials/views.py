"""The resources `credential-policies`, `credential-rules`, `credential-alerts` and `credential-notices`."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core import dispatch
from backend.apps.core.serializers import Form
from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet
from backend.apps.credentials import permissions, policies, serializers
from backend.apps.credentials.models import CredentialAlert, CredentialNotice, CredentialPolicy, CredentialRules


class CredentialPolicyViewSet(ClinicViewSet):
    """A type without a row of its own is watched by the usual rules."""

    queryset = CredentialPolicy.objects.all()
    serializer_class = serializers.CredentialPolicySerializer
    permissions = permissions.POLICY
    filterset_fields: ClassVar[dict[str, list[str]]] = {"credential_type": ["exact"]}
    creates = policies.set_policy
    updates = policies.change

    def destroy(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Give the type the usual rules again."""
        answer = super().destroy(request, *args, **kwargs)
        dispatch.ring(policies.SWEEP)
        return answer


class CredentialRulesViewSet(ClinicViewSet):
    queryset = CredentialRules.objects.all()
    serializer_class = serializers.CredentialRulesSerializer
    permissions = permissions.RULES
    creates = policies.write_rules
    updates = policies.change_rules


class CredentialAlertFilter(django_filters.FilterSet):
    open = django_filters.BooleanFilter(field_name="closed_at", lookup_expr="isnull")

    class Meta:
        model = CredentialAlert
        fields: ClassVar[dict[str, list[str]]] = {
            "doctor_credential": ["exact"],
            "employee_credential": ["exact"],
            "credential_type": ["exact"],
            "opened_at": ["gte", "lt"],
        }


class CredentialAlertViewSet(ReadOnlyClinicViewSet):
    queryset = CredentialAlert.objects.select_related("doctor_credential__doctor", "employee_credential__employee")
    serializer_class = serializers.CredentialAlertSerializer
    permissions = permissions.ALERT
    filterset_class = CredentialAlertFilter
    ordering_fields = ("opened_at",)
    ordering = ("-opened_at",)

    @extend_schema(request=Form, responses={202: None})
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def sweep(self, request: Request) -> Response:
        """Have the sweep look at all credentials now and not at the next full hour; twice is harmless."""
        Form(data=request.data).is_valid(raise_exception=True)
        dispatch.ring(policies.SWEEP)
        self.note(asked=True)
        return Response(status=202)


class CredentialNoticeViewSet(ReadOnlyClinicViewSet):
    queryset = CredentialNotice.objects.all()
    serializer_class = serializers.CredentialNoticeSerializer
    permissions = permissions.NOTICE
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "alert": ["exact"],
        "recipient": ["exact"],
        "status": ["exact"],
        "created_at": ["gte", "lt"],
    }
