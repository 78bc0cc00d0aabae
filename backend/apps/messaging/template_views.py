"""The resource `message-templates`: the clinic's own words, a trial of them, and what is used where there are none."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.views import ClinicViewSet
from backend.apps.messaging import previews, templates
from backend.apps.messaging.models import MessageTemplate
from backend.apps.messaging.permissions import TEMPLATE
from backend.apps.messaging.template_serializers import (
    EffectiveSerializer,
    MessageTemplateSerializer,
    PreviewForm,
    PreviewSerializer,
)


class MessageTemplateViewSet(ClinicViewSet):
    queryset = MessageTemplate.objects.all()
    serializer_class = MessageTemplateSerializer
    permissions = TEMPLATE
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "kind": ["exact"],
        "channel": ["exact"],
        "language": ["exact"],
        "is_active": ["exact"],
    }
    ordering_fields = ("kind", "created_at", "updated_at")
    ordering = ("kind",)
    creates = templates.add
    updates = templates.save

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "facts": templates.current_facts()}

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete the text; the shipped one is used again."""
        with transaction.atomic():
            row = self._locked()
            templates.discard(row, by=request.user)
            self.note(row)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=PreviewForm, responses=PreviewSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def preview(self, request: Request) -> Response:
        """Fill a text with made-up facts, never a patient's, and tell what is wrong with it. Keeps nothing."""
        form = PreviewForm(data=request.data)
        form.is_valid(raise_exception=True)
        self.note(fields=sorted(form.validated_data))
        return Response(PreviewSerializer(previews.preview(**form.validated_data)).data)

    @extend_schema(responses=EffectiveSerializer(many=True))
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[])
    def effective(self, request: Request) -> Response:
        """Tell for each kind, channel and language which text is used: the clinic's own or the shipped one."""
        rows = previews.effective()
        self.note(count=len(rows))
        return Response(EffectiveSerializer(rows, many=True).data)
