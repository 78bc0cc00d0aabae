"""The resources `inbound-messages`, but for what speaks HL7, and `lab-replays`."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core import idempotency
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.laboratory import inbox, permissions, replays
from backend.apps.laboratory.inbox_filter import InboundMessageFilter
from backend.apps.laboratory.inbox_serializers import (
    AssignForm,
    InboundMessageSerializer,
    LabReplayDetailSerializer,
    LabReplaySerializer,
    ReplayForm,
    SkipForm,
)
from backend.apps.laboratory.models import InboundMessage, LabReplay


class LabReplayViewSet(ClinicViewSet):
    """Replays are asked for, watched, applied and stopped; `apply` answers the real run."""

    queryset = LabReplay.objects.all()
    serializer_class = LabReplaySerializer
    permissions = permissions.LAB_REPLAY
    filterset_fields: ClassVar[dict[str, list[str]]] = {"status": ["exact"], "dry_run": ["exact"]}
    ordering_fields = ("created_at",)
    creates = replays.request
    apply = verb(replays.apply)
    cancel = verb(replays.cancel)

    @extend_schema(
        parameters=[OpenApiParameter("first", int, description="The number of the first, from 0.")],
        responses=OpenApiTypes.OBJECT,
    )
    @action(detail=True, methods=["get"], filter_backends=[])
    def difference(self, request: Request, **_kwargs: Any) -> Response:
        """Answer where the charts differ, with values, 200 places at a time."""
        row, first = self.get_object(), replays.place_asked(request.query_params.get("first", "0"))
        if first is None:
            raise ValidationError({"first": ["A number from 0."]})
        entries = replays.difference(row, first=first)
        replays.note_look(request, row, entries)
        self.note(row, count=len(entries))
        return Response({"id": str(row.pk), "total": row.differs, "results": entries})

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return LabReplaySerializer if self.action == "list" else LabReplayDetailSerializer


class InboundMessageViewSet(ClinicViewSet):
    """What arrived stays as it arrived; people decide what becomes of it."""

    queryset = InboundMessage.objects.defer("raw", "ack_sent")
    serializer_class = InboundMessageSerializer
    permissions = permissions.INBOUND_MESSAGE
    filterset_class = InboundMessageFilter
    ordering_fields = ("received_at",)
    ordering = ("-received_at",)
    retry = verb(inbox.retry)
    assign = verb(inbox.assign, takes=AssignForm)
    unassign = verb(inbox.unassign)
    skip = verb(inbox.skip, takes=SkipForm)

    @extend_schema(request=ReplayForm, responses={201: LabReplayDetailSerializer})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, **_kwargs: Any) -> Response:
        """Replay this message alone; answers the replay."""
        return idempotency.once(request, self._replay, lambda pk: self._told(LabReplay.objects.get(pk=pk)))

    def _replay(self) -> Response:
        row = self._locked()
        form = ReplayForm(data=self.request.data)
        form.is_valid(raise_exception=True)
        made = replays.request(by=self.request.user, messages=[row.pk], **form.validated_data)
        self.note(row, replay=str(made.pk))
        return self._told(made)

    def _told(self, made: LabReplay) -> Response:
        told = LabReplayDetailSerializer(made, context=self.get_serializer_context())
        return Response(told.data, status=status.HTTP_201_CREATED)
