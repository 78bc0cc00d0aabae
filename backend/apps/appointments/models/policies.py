"""When a visit is reminded of, on which channel and in which words; without these rows it would stand in the code."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from backend.apps.appointments.models.visits import AppointmentType
from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.messaging.models import Channel, MessageKind

DAY_MINUTES, HOUR_MINUTES = 1440, 60


class PolicyCondition(models.TextChoices):
    ALWAYS = "always"
    UNLESS_CONFIRMED = "unless_confirmed", "unless confirmed; always for telemedicine"


class ReminderPolicy(ClinicModel):
    """One reminder: how long before the visit, by which channel, in which words.

    Days are days of the clinic's wall clock, hours are absolute. Rows of the same offset are alternatives: the first in
    `order` whose channel reaches the patient is used, the next one when that fails. Rows of an appointment type replace
    the general ones (empty type) for visits of that type altogether, also when all of them are inactive.
    """

    Condition = PolicyCondition

    access: ClassVar[scope.Access] = scope.SHARED

    appointment_type = models.CharField(max_length=12, choices=AppointmentType, blank=True)
    offset_days = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(90)])
    offset_hours = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(240)])
    channel = models.CharField(max_length=5, choices=[(one.value, one.label) for one in (Channel.EMAIL, Channel.SMS)])
    order = models.PositiveSmallIntegerField(
        default=1, help_text="1 is tried first; 2 when 1 cannot reach the patient."
    )
    wording = models.CharField(max_length=16, choices=MessageKind, default=MessageKind.REMINDER)
    condition = models.CharField(max_length=16, choices=PolicyCondition, default=PolicyCondition.ALWAYS)
    is_active = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["appointment_type", "-offset_days", "-offset_hours", "order", "id"]
        verbose_name_plural = "reminder policies"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["appointment_type", "offset_days", "offset_hours", "channel"],
                condition=Q(is_deleted=False),
                name="appointments_policy_once",
            ),
            models.CheckConstraint(
                condition=Q(appointment_type__in=["", *AppointmentType.values]), name="appointments_policy_type_known"
            ),
            models.CheckConstraint(condition=Q(channel__in=["email", "sms"]), name="appointments_policy_channel_known"),
            models.CheckConstraint(
                condition=Q(offset_days__gt=0) | Q(offset_hours__gt=0),
                name="appointments_policy_before",
                violation_error_message="A reminder is at least one hour before the visit.",
            ),
        ]

    @property
    def offset_minutes(self) -> int:
        return self.offset_days * DAY_MINUTES + self.offset_hours * HOUR_MINUTES
