"""What of the lab inbox and of replays goes over the wire; the bytes of a message do only when they are revealed."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.laboratory import replays
from backend.apps.laboratory.models import InboundMessage, LabReplay
from backend.apps.patients.models import Patient


class InboundMessageSerializer(ClinicSerializer):
    class Meta:
        model = InboundMessage
        fields = [
            "id", "received_at", "peer", "feed", "sending_application", "sending_facility", "control_id",
            "message_type", "version", "ack_code", "application_ack", "application_ack_at", "status", "status_reason",
            "findings", "conflict", "repeats", "size_bytes", "sha256", "patient", "assigned_patient", "settled_by",
            "settled_at", "filed_at", "work_state", "attempts", "due_at", "last_error", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class VisiblePatient(serializers.PrimaryKeyRelatedField):
    """The key of a patient the caller may see."""

    def get_queryset(self) -> Any:
        request = self.context.get("request")
        return Patient.objects.none() if request is None else Patient.objects.visible_to(request.user)


class AssignForm(Form):
    patient = VisiblePatient(queryset=Patient.objects.none())


class SkipForm(Form):
    reason = serializers.CharField(max_length=280)


class ReplayForm(Form):
    dry_run = serializers.BooleanField(default=True)


class LabReplaySerializer(ClinicSerializer):
    """Created with `messages` or with `filter`, whose names are those of the filters of `inbound-messages`."""

    messages: serializers.Field = serializers.ListField(
        child=serializers.UUIDField(),
        write_only=True,
        required=False,
        allow_empty=False,
        max_length=replays.MOST_MESSAGES,
    )
    filter: serializers.Field = serializers.DictField(write_only=True, required=False)
    dry_run: serializers.Field = serializers.BooleanField(default=True)

    class Meta:
        model = LabReplay
        fields = [
            "id", "messages", "filter", "dry_run", "status", "total", "done", "appears", "changes", "disappears",
            "of_dry_run", "requested_by", "finished_at", "work_state", "attempts", "last_error", "created_at",
            "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "status", "total", "done", "appears", "changes", "disappears", "of_dry_run", "requested_by", "finished_at",
            "work_state", "attempts", "last_error",
        ]  # fmt: skip


class LabReplayDetailSerializer(LabReplaySerializer):
    """With what became of the messages so far."""

    outcomes: serializers.Field = serializers.SerializerMethodField()

    class Meta(LabReplaySerializer.Meta):
        fields = [*LabReplaySerializer.Meta.fields, "outcomes"]

    def get_outcomes(self, replay: LabReplay) -> dict[str, int]:
        return replays.outcomes(replay)
