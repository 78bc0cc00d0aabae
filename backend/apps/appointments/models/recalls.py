"""Who is due for a visit again; without it nobody asks a patient who has not come for a year."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from backend.apps.appointments.models.visits import Appointment, AppointmentType
from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.transitions import Stateful, Table


class RecallStatus(models.TextChoices):
    OPEN = "open"
    REMINDED = "reminded"
    BOOKED = "booked"
    DISMISSED = "dismissed"


LIVE = (RecallStatus.OPEN, RecallStatus.REMINDED)


class RecallRule(ClinicModel):
    """Patients are due `after_days` days after their last completed visit of the type. name: for staff only."""

    access: ClassVar[scope.Access] = scope.SHARED

    name = models.CharField(max_length=80)
    appointment_type = models.CharField(max_length=12, choices=AppointmentType)
    after_days = models.PositiveSmallIntegerField(validators=[MinValueValidator(7), MaxValueValidator(3660)])
    is_active = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(appointment_type__in=AppointmentType.values), name="appointments_recallrule_type_known"
            ),
            models.CheckConstraint(
                condition=Q(after_days__range=(7, 3660)),
                name="appointments_recallrule_days",
                violation_error_message="A recall is due 7 to 3660 days after the visit.",
            ),
            models.CheckConstraint(condition=~Q(name=""), name="appointments_recallrule_named"),
        ]


class Recall(Stateful, ClinicModel):
    """One patient due for one type of visit. One at a time of each type.

    rule: empty where staff opened it. reason: for staff only, never sent. reminded_at: when the last message was
    written. handed_over_at: from then on it is the front desk's to call. appointment: the visit it came to.
    """

    Status = RecallStatus

    access: ClassVar[scope.Access] = scope.Access(patient="patient_id")
    TRANSITIONS: ClassVar[Table] = {
        Status.OPEN: frozenset({Status.REMINDED, Status.BOOKED, Status.DISMISSED}),
        Status.REMINDED: frozenset({Status.BOOKED, Status.DISMISSED}),
        Status.BOOKED: frozenset({Status.OPEN}),  # the visit was cancelled
    }

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="recalls")
    rule = models.ForeignKey(
        RecallRule, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="recalls"
    )
    appointment_type = models.CharField(max_length=12, choices=AppointmentType)
    due_on = models.DateField()
    reason = models.CharField(max_length=300, blank=True, help_text="For staff only; patients are not sent it.")
    status = models.CharField(
        max_length=9, choices=RecallStatus, default=RecallStatus.OPEN, db_default=RecallStatus.OPEN, editable=False
    )
    reminded_times = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    reminded_at = models.DateTimeField(null=True, blank=True, editable=False)
    handed_over_at = models.DateTimeField(null=True, blank=True, editable=False)
    appointment = models.ForeignKey(
        Appointment, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="recalls"
    )

    class Meta(ClinicModel.Meta):
        ordering = ["due_on", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["patient", "appointment_type"],
                condition=Q(status__in=LIVE, is_deleted=False),
                name="appointments_recall_once",
                violation_error_message="The patient is due for this already.",
            ),
            models.CheckConstraint(condition=Q(status__in=RecallStatus.values), name="appointments_recall_status"),
            models.CheckConstraint(
                condition=Q(appointment_type__in=AppointmentType.values), name="appointments_recall_type_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["id"], name="recall_to_remind", condition=Q(status__in=LIVE, handed_over_at=None)),
            models.Index(fields=["status", "due_on"], name="recall_status"),
            models.Index(fields=["appointment_type", "due_on"], name="recall_type"),
            models.Index(fields=["due_on", "id"], name="recall_due"),
            models.Index(fields=["-created_at", "id"], name="recall_newest"),
        ]
