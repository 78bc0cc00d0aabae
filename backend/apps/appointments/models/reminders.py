"""One message about one version of a visit; without these rows nobody could prove who was reminded, and once."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.appointments import timing
from backend.apps.appointments.models.visits import Appointment
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


class AppointmentReminder(OutgoingMessage):
    """A reminder of one version of an appointment, `offset_minutes` before it, on one channel.

    visit_starts_at: when the visit was to begin as this was planned; a row of another start says nothing of this one.
    """

    ReminderType = Channel

    task_name: ClassVar[str] = "reminders.deliver"
    channel_column: ClassVar[str] = "reminder_type"
    replacement: ClassVar[str] = "backend.apps.appointments.reminders.next_channel"
    access: ClassVar[scope.Access] = scope.Access(
        patient="appointment__patient_id", doctor_user="appointment__doctor__user"
    )

    appointment = models.ForeignKey(
        Appointment,
        on_delete=models.PROTECT,
        related_name="reminders",
        db_index=False,  # reminder_once begins with it
    )
    appointment_version = models.PositiveIntegerField(editable=False)
    visit_starts_at = models.DateTimeField(null=True, blank=True, editable=False)
    offset_minutes = models.PositiveIntegerField(editable=False)  # before the visit; a day counts 1440
    reminder_type = models.CharField(max_length=5, choices=Channel)

    class Meta(ClinicModel.Meta):
        ordering = ["scheduled_send_time", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["appointment", "appointment_version", "offset_minutes", "reminder_type"],
                name="appointments_reminder_once",
            ),
            one_fallback("appointments_reminder_one_fallback"),
            models.CheckConstraint(
                condition=Q(reminder_type__in=Channel.values), name="appointments_reminder_type_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=MessageStatus.values), name="appointments_reminder_status_known"
            ),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="appointments_reminder_work_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["sent", "delivered"]) | Q(sent_at__isnull=False),
                name="appointments_reminder_sent_has_time",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *outgoing_indexes("reminder"),
            models.Index(fields=["scheduled_send_time", "id"], name="reminder_time"),
            models.Index(fields=["status", "scheduled_send_time"], name="reminder_status_time"),
            models.Index(fields=["reminder_type", "scheduled_send_time"], name="reminder_type_time"),
            models.Index(  # of those that wait there are few, then reminder_lane has them, or many, then reminder_time
                fields=["work_state", "scheduled_send_time"],
                name="reminder_work_state",
                condition=~Q(work_state=WorkState.WAITING),
            ),
            models.Index(fields=["-created_at", "id"], name="reminder_newest"),
        ]

    @property
    def channel(self) -> str:
        return self.reminder_type

    @property
    def is_moot(self) -> bool:
        return self.appointment.is_deleted or not self.appointment.is_upcoming

    @property
    def patient(self) -> Any:
        """Whom it is for, as the visit says now."""
        return self.appointment.patient

    @property
    def mail_until(self) -> datetime:
        """Until when a mail that says this helps: later than a text does whose hours end before."""
        start = self.visit_starts_at or self.appointment.appointment_datetime
        helps = min(self.scheduled_send_time + timing.usable_for(self.offset_minutes), start)
        return max(helps, self.useful_until or helps)

    def copy_for(self, channel: str) -> Self:
        copy = super().copy_for(channel)
        if channel == Channel.EMAIL and self.useful_until is not None and self.useful_until < timezone.now():
            copy.useful_until = self.mail_until
        return copy

    def twin(self, channel: str) -> AppointmentReminder | None:
        same = AppointmentReminder.all_objects.filter(
            appointment=self.appointment_id,
            appointment_version=self.appointment_version,
            offset_minutes=self.offset_minutes,
            reminder_type=channel,
        )
        return same.select_for_update(skip_locked=True, of=("self",)).first()
