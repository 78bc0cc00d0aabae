"""The part of the resource `insurance-claims` that tells the way a claim has gone."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.views import ClinicViewSet
from backend.apps.insurance import timeline
from backend.apps.insurance.code_texts import TextsOfCodes

STATUS = "277"  # and 277CA: categories and states of claims


class StepSerializer(TextsOfCodes):
    at = serializers.DateTimeField()
    kind = serializers.CharField(help_text="837 for what we sent, else what the answer came in.")
    code = serializers.CharField()
    sentence = serializers.CharField()
    details = serializers.ListField(child=serializers.CharField())
    detail_texts = serializers.SerializerMethodField(help_text="What they mean, as the clinic's own lists have it.")
    on = serializers.DateField(allow_null=True)
    interchange_number = serializers.IntegerField(allow_null=True)
    file = serializers.UUIDField(allow_null=True)
    payer_claim_number = serializers.CharField()
    counted = serializers.BooleanField(help_text="Whether it decided where the claim stands when it came.")

    def get_detail_texts(self, step: timeline.Step) -> list[str]:
        return self.texts_of_status(step.details) if step.kind.startswith(STATUS) else []


class TimelineSerializer(serializers.Serializer):
    claim = serializers.UUIDField()
    status = serializers.CharField()
    events = StepSerializer(many=True)


class ToldClaims(ClinicViewSet):
    @extend_schema(responses=TimelineSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def timeline(self, request: Request, **_kwargs: Any) -> Response:
        """Answer each step of a claim: queued, sent, and what partners said of it, in the order it happened."""
        row = self.get_object()
        found = timeline.steps(row)
        self.note(row, count=len(found))
        return Response(TimelineSerializer({"claim": row.pk, "status": row.status, "events": found}).data)
