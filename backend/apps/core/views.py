"""The viewset every resource inherits: roles, object rules, audit, optimistic locking and idempotent POST."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core import alerts, audit, audit_showing, idempotency, on_call, scope
from backend.apps.core.exceptions import Stale
from backend.apps.core.models import Alert, AuditLog, Clinic
from backend.apps.core.permissions import ALERT, ALL_ROLES, READ, WRITE, Table, allow
from backend.apps.core.serializers import (
    AlertSerializer,
    AuditLogSerializer,
    ClinicProfileSerializer,
    Form,
    checked,
)

Service = Callable[..., Any]
Whom = dict[str, list[str]]


def etag(row: Any) -> str:
    """Return the version of a row as an entity tag; it changes whenever `updated_at` does."""
    moment = getattr(row, "updated_at", None) or getattr(row, "timestamp", None)
    return f'"{hashlib.sha256(f"{row.pk}{moment and moment.isoformat()}".encode()).hexdigest()[:20]}"'


class Audited(viewsets.GenericViewSet):
    """Writes one audit row for each request, refused ones too; without the row there is no answer."""

    queryset: QuerySet[Any] | None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)  # first: the audit row of any refusal names who asked
        if any("\x00" in text for name, values in request.query_params.lists() for text in (name, *values)):
            raise ParseError("A NUL character is not allowed.")
        super().initial(request, *args, **kwargs)

    def note(self, row: Any = None, **detail: Any) -> None:
        """Audit what this request did; called inside the transaction that did it."""
        self._noted = True
        if row is not None:
            audit.log_phi_access(self.request.user, self._verb(), row, self.request, detail)
            return
        pk = str(self.kwargs.get("pk", ""))
        audit.record(self.request, self._verb(), self.resource_type(), pk, detail=detail)

    def resource_type(self) -> str:
        model = getattr(self.queryset, "model", None)
        return model._meta.model_name if model is not None else type(self).__name__.lower()

    def _verb(self) -> str:
        """Return what was asked for; the method, when it is one this resource does not know."""
        return getattr(self, "action", None) or (self.request.method or "").lower()

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        if not getattr(self, "_noted", False):
            self._note_answer(request, response)
        return response

    def _note_answer(self, request: Request, response: Response) -> None:
        refused = response.status_code in {401, 403, 404, 405, 409, 412, 422, 428, 429}
        outcome = AuditLog.Outcome.ALLOWED
        if response.status_code >= 400:
            outcome = AuditLog.Outcome.REFUSED if refused else AuditLog.Outcome.FAILED
        audit.record(
            request,
            self._verb(),
            self.resource_type(),
            str(self.kwargs.get("pk", ""))[:64],
            outcome=outcome,
            detail={"status": response.status_code},
        )


class ReadOnlyClinicViewSet(Audited):
    """List and retrieve the rows the caller may see."""

    queryset: QuerySet[Any]
    permissions: ClassVar[Table] = {}
    ordering_fields: ClassVar[tuple[str, ...]] = ("created_at",)
    ordering: ClassVar[tuple[str, ...]] = ("-created_at",)
    lookup_value_regex = "[0-9a-fA-F-]{32,36}"

    def get_queryset(self) -> QuerySet[Any]:
        return scope.visible(super().get_queryset(), self.request.user)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        rows = self.paginate_queryset(self.filter_queryset(audit.whose(self.get_queryset()))) or []
        self.note(
            count=len(rows),
            ids=[str(row.pk) for row in rows],
            **self.whom(rows),
            filters=sorted(request.query_params),
        )
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)

    def whom(self, rows: Sequence[Any]) -> Whom:
        """Return for the audit row of a list whom it shows."""
        return audit.patients_of(rows)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        self.note(row)
        return self.answer(row)

    def answer(self, row: Any, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(row).data, status=code, headers={"ETag": etag(row)})


class ClinicViewSet(ReadOnlyClinicViewSet):
    """All of CRUD. Subclasses name a queryset, a serializer, a permission table, and services where rules apply."""

    creates: ClassVar[Service | None] = None
    updates: ClassVar[Service | None] = None

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return idempotency.once(request, self._create, self._replay_created)

    def _create(self) -> Response:
        form = self.get_serializer(data=self.request.data)
        form.is_valid(raise_exception=True)
        row = self._make(form)
        self.note(row, fields=sorted(form.validated_data))
        return self.answer(self._again(row), status.HTTP_201_CREATED)

    def _make(self, form: serializers.BaseSerializer[Any]) -> Any:
        service = type(self).creates
        if service is not None:
            return service(by=self.request.user, **form.validated_data)
        return _save(self.queryset.model(), form.validated_data)

    def _replay_created(self, pk: str) -> Response:
        """Answer the row that this key made; a doctor, say, sees a new patient only once they care for them."""
        return self.answer(self.queryset.all().get(pk=pk))

    def update(self, request: Request, *args: Any, partial: bool = False, **kwargs: Any) -> Response:
        with transaction.atomic():
            row = self._locked()
            form = self.get_serializer(row, data=request.data, partial=partial)
            form.is_valid(raise_exception=True)
            service = type(self).updates
            if service is not None:
                row = service(row, by=request.user, **form.validated_data)
            else:
                row = _save(row, form.validated_data)
            self.note(row, fields=sorted(form.validated_data))
            return self.answer(self._again(row))

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.update(request, *args, partial=True, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with transaction.atomic():
            row = self._locked()
            row.delete()
            self.note(row)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _locked(self) -> Any:
        """Return the row, locked for this transaction, if the caller's If-Match (when sent) names its version."""
        row = self.get_object()
        row = type(row)._base_manager.select_for_update(of=("self",), no_key=True).get(pk=row.pk)
        wanted = self.request.headers.get("If-Match")
        if wanted and wanted != "*" and etag(row) not in [tag.strip() for tag in wanted.split(",")]:
            raise Stale("Someone else has changed this in the meantime; load it again.")
        return row

    def _again(self, row: Any) -> Any:
        """Return the row as a list would: with the related rows its serializer needs."""
        return self.queryset.all().get(pk=row.pk)


def _save(row: Any, values: dict[str, Any]) -> Any:
    """Set plain fields, check the model's own rules, save, then set many-to-many fields."""
    many = {field.name for field in row._meta.many_to_many}
    for name, value in values.items():
        if name not in many:
            setattr(row, name, value)
    checked(row).save()
    for name in many & set(values):
        getattr(row, name).set(values[name])
    return row


def verb(service: Service, takes: type[serializers.Serializer] = Form) -> Any:
    """Expose a service as `POST /<resource>/<pk>/<service name>/`.

    The attribute carries the service's own name, so that URL, permission table and audit use one word.
    """

    def endpoint(self: ClinicViewSet, request: Request, **_kwargs: Any) -> Response:
        def act() -> Response:
            row = self._locked()  # before the form: whoever may not see the row learns 404 and nothing else
            form = takes(data=request.data, context=self.get_serializer_context())
            form.is_valid(raise_exception=True)
            row = service(row, by=request.user, **form.validated_data)
            self.note(row, fields=sorted(form.validated_data))
            return self.answer(self._again(row))

        return idempotency.once(
            request,
            act,
            lambda resource: self.answer(self.get_queryset().get(pk=resource)),
        )

    endpoint.__name__ = service.__name__
    endpoint.__doc__ = service.__doc__
    return action(detail=True, methods=["post"])(extend_schema(request=takes)(endpoint))


class ClinicProfileViewSet(ClinicViewSet):
    queryset = Clinic.objects.all()
    serializer_class = ClinicProfileSerializer
    permissions: ClassVar[Table] = {**allow(READ, *ALL_ROLES), **allow(WRITE)}


class AuditLogFilter(django_filters.FilterSet):
    """`showed` finds more than `patient_id`: lists, searches and exports with the patient, and records merged too."""

    showed = django_filters.UUIDFilter(method="by_showed", label="A patient who was shown")

    class Meta:
        model = AuditLog
        fields: ClassVar[dict[str, list[str]]] = {
            "user": ["exact"],
            "resource_type": ["exact"],
            "resource_id": ["exact"],
            "patient_id": ["exact"],
            "outcome": ["exact"],
            "timestamp": ["gte", "lt"],
        }

    def by_showed(self, rows: QuerySet[AuditLog], _name: str, patient: Any) -> QuerySet[AuditLog]:
        return rows.filter(audit_showing.showing(patient))


class AuditLogViewSet(ReadOnlyClinicViewSet):
    queryset = AuditLog.objects.all()
    serializer_class = AuditLogSerializer
    permissions: ClassVar[Table] = allow(READ)
    filterset_class = AuditLogFilter
    ordering_fields = ("timestamp",)
    ordering = ("-timestamp",)

    def whom(self, rows: Sequence[Any]) -> Whom:
        """Tell of the patient that was asked for too: of one who stood in lists alone no row carries the id."""
        asked = {
            str(UUID(key.strip())) for name in ("showed", "patient_id") if (key := self.request.query_params.get(name))
        }
        found = asked.union(super().whom(rows).get("patients", ()))
        return {"patients": sorted(found)} if found else {}


class AlertFilter(django_filters.FilterSet):
    resolved = django_filters.BooleanFilter(field_name="resolved_at", lookup_expr="isnull", exclude=True)
    looked_after = django_filters.BooleanFilter()

    class Meta:
        model = Alert
        fields: ClassVar[dict[str, list[str]]] = {
            "kind": ["exact"],
            "severity": ["exact"],
            "subject_id": ["exact"],
            "opened_at": ["gte", "lt"],
        }


class AlertViewSet(ClinicViewSet):
    """Machines open alerts and clear them; people acknowledge and resolve them."""

    queryset = on_call.marked(Alert.objects.all())
    serializer_class = AlertSerializer
    permissions = ALERT
    filterset_class = AlertFilter
    ordering_fields = ("opened_at",)
    ordering = ("-opened_at",)
    acknowledge = verb(alerts.acknowledge)
    resolve = verb(alerts.resolve)
