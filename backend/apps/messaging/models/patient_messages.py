"""Messages to a patient that are no reminder of a visit: a recall, a missed visit, an offered time, an answer."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.work import WorkState
from backend.apps.messaging.models.outgoing import (
    Channel,
    MessageStatus,
    OutgoingMessage,
    one_fallback,
    outgoing_indexes,
)


class PatientMessage(OutgoingMessage):
    """`wording` says which kind it is, `subject_id` what it is about: the visit, recall or offer of that kind."""

    task_name: ClassVar[str] = "reminders.deliver_messages"
    replacement: ClassVar[str] = "backend.apps.messaging.fallbacks.other_channel"
    access: ClassVar[scope.Access] = scope.Access(patient="patient_id")

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="messages")
    channel = models.CharField(max_length=5, choices=Channel)
    subject_id = models.UUIDField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["scheduled_send_time", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            one_fallback("messaging_message_one_fallback"),
            models.CheckConstraint(condition=Q(channel__in=Channel.values), name="messaging_message_channel_known"),
            models.CheckConstraint(condition=Q(status__in=MessageStatus.values), name="messaging_message_status_known"),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="messaging_message_work_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["sent", "delivered"]) | Q(sent_at__isnull=False),
                name="messaging_message_sent_has_time",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *outgoing_indexes("message"),
            models.Index(fields=["subject_id"], name="message_subject"),
            models.Index(fields=["scheduled_send_time", "id"], name="message_time"),
            models.Index(fields=["status", "scheduled_send_time"], name="message_status_time"),
            models.Index(fields=["wording", "scheduled_send_time"], name="message_wording_time"),
            models.Index(fields=["-created_at", "id"], name="message_newest"),
        ]
