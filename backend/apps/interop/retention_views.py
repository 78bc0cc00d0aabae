"""The resources `retention-rules` and `retention-runs`."""

from __future__ import annotations

from typing import ClassVar

from backend.apps.core.models import RetentionRule, RetentionRun
from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet, verb
from backend.apps.interop import retention_rules
from backend.apps.interop.permissions import RETENTION, RETENTION_RUN
from backend.apps.interop.retention_serializers import ReasonForm, RetentionRuleSerializer, RetentionRunSerializer


class RetentionRuleViewSet(ClinicViewSet):
    """How long each class of data is kept; a rule removes once it was looked at and activated."""

    queryset = RetentionRule.objects.all()
    serializer_class = RetentionRuleSerializer
    permissions = RETENTION
    filterset_fields: ClassVar[dict[str, list[str]]] = {"data_class": ["exact"], "is_active": ["exact"]}
    ordering_fields = ("data_class",)
    ordering = ("data_class",)
    creates = retention_rules.create
    updates = retention_rules.change
    look = verb(retention_rules.look)
    activate = verb(retention_rules.activate, ReasonForm)
    deactivate = verb(retention_rules.deactivate, ReasonForm)
    release = verb(retention_rules.release)


class RetentionRunViewSet(ReadOnlyClinicViewSet):
    """What was counted and removed, and when."""

    queryset = RetentionRun.objects.all()
    serializer_class = RetentionRunSerializer
    permissions = RETENTION_RUN
    filterset_fields: ClassVar[dict[str, list[str]]] = {"data_class": ["exact"], "created_at": ["gte", "lt"]}
