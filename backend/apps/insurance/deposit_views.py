"""The resource `deposits`: money at the bank, and the remittances it belongs to."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.filters import StrictOrdering
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.insurance import deposits, permissions
from backend.apps.insurance.deposit_serializers import (
    CsvForm,
    DepositSerializer,
    RemittanceForm,
    RowSerializer,
    WithoutDepositSerializer,
)
from backend.apps.insurance.models import Deposit
from backend.apps.insurance.watch_views import refuse_unknown


class DepositFilter(django_filters.FilterSet):
    matched = django_filters.BooleanFilter(field_name="remittance", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Deposit
        fields: ClassVar[dict[str, list[str]]] = {
            "trace": ["exact"],
            "remittance": ["exact"],
            "received_on": ["gte", "lt"],
        }


class DepositViewSet(ClinicViewSet):
    """A deposit finds its remittance by itself when it is entered; `?matched=false` lists those that did not."""

    queryset = Deposit.objects.all()
    serializer_class = DepositSerializer
    permissions = permissions.DEPOSIT
    filterset_class = DepositFilter
    ordering_fields = ("received_on", "created_at")
    ordering = ("-received_on",)
    creates = deposits.record
    updates = deposits.change_deposit

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take the deposit off the list; its remittance waits for another one."""
        with transaction.atomic():
            row = self._locked()
            deposits.remove(row, by=request.user)  # type: ignore[arg-type]  # somebody: no stranger may write
            self.note(row)
        return Response(status=status.HTTP_204_NO_CONTENT)

    match = verb(deposits.match, takes=RemittanceForm)
    unmatch = verb(deposits.unmatch)

    @extend_schema(request=CsvForm, responses=RowSerializer(many=True))
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def bring_in(self, request: Request) -> Response:
        """Enter the deposits of a CSV file; answers what became of each row. The same file twice adds nothing."""
        form = CsvForm(data=request.data)
        form.is_valid(raise_exception=True)
        rows = deposits.bring_in(form.validated_data["csv"], by=request.user)  # type: ignore[arg-type]  # somebody
        self.note(count=len(rows))
        return Response(RowSerializer(rows, many=True).data)

    @extend_schema(responses=WithoutDepositSerializer(many=True))
    @action(detail=False, methods=["get"], filter_backends=[StrictOrdering], ordering=("-paid_on",), ordering_fields=())
    def missing(self, request: Request) -> Response:
        """Answer the remittances of which no deposit tells, the latest first."""
        refuse_unknown(request)
        rows = self.paginate_queryset(deposits.without_deposit()) or []
        self.note(count=len(rows), ids=[str(row.pk) for row in rows])
        return self.get_paginated_response(WithoutDepositSerializer(rows, many=True).data)
