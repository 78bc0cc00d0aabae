"""The resource `lab-feeds`: which laboratories are heard at the door, and how they are treated."""

from __future__ import annotations

from typing import ClassVar

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.core.views import ClinicViewSet
from backend.apps.laboratory import permissions
from backend.apps.laboratory.models import LabFeed


class LabFeedSerializer(ClinicSerializer):
    class Meta:
        model = LabFeed
        fields = [
            "id", "name", "is_active", "clia_number", "sending_application", "sending_facility", "versions",
            "processing_ids", "charset", "time_zone", "assigning_authority", "match_policy", "ack_mode", "adt_policy",
            "takes_unknown_types", "allowed_networks", "allowed_certificates", "certificate_ends_at", "silence_minutes",
            "order_message", "order_version", "order_host", "order_port", "order_tls", "created_at", "updated_at",
        ]  # fmt: skip


class LabFeedViewSet(ClinicViewSet):
    """A changed feed counts at the door within seconds."""

    queryset = LabFeed.objects.all()
    serializer_class = LabFeedSerializer
    permissions = permissions.LAB_FEED
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "is_active": ["exact"],
        "sending_application": ["exact"],
        "sending_facility": ["exact"],
        "ack_mode": ["exact"],
    }
    search_fields = ("^name",)
    ordering_fields = ("name", "created_at")
    ordering = ("name",)
