"""The resource `inbound-messages`: the lab inbox, and what of it has to speak HL7 (explanation, reveal)."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core import idempotency
from backend.apps.core.serializers import Form
from backend.apps.interop import reading
from backend.apps.laboratory import inbox_views
from backend.apps.laboratory.models import InboundMessage


class RevealForm(Form):
    reason = serializers.CharField(max_length=200)


class InboundMessageViewSet(inbox_views.InboundMessageViewSet):
    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["get"])
    def explanation(self, request: Request, **_kwargs: Any) -> Response:
        """Answer the message as a tree with what was found at its fields; what names a patient is masked."""
        row = self.get_object()
        told = reading.read(bytes(row.raw), row.findings, charset=row.usual_charset)
        self.note(row, masked=True)
        body = {"id": str(row.pk), "raw": told.raw, "segments": [asdict(part) for part in told.parts]}
        return Response({**body, "findings": told.others})

    @extend_schema(request=RevealForm, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def reveal(self, request: Request, **_kwargs: Any) -> Response:
        """Answer the message as it came, for a reason that is written down."""

        def act() -> Response:
            row = self._locked()
            form = RevealForm(data=request.data)
            form.is_valid(raise_exception=True)
            self.note(row, reason=form.validated_data["reason"])
            return self._revealed(row)

        return idempotency.once(request, act, lambda pk: self._revealed(InboundMessage.objects.get(pk=pk)))

    def _revealed(self, row: InboundMessage) -> Response:
        raw = bytes(row.raw)
        text = reading.text(raw, masked=False, charset=row.usual_charset)
        body = {"raw": base64.b64encode(raw).decode(), "text": text}
        return Response({"id": str(row.pk), **body})
