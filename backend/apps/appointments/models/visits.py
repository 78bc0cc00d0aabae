"""Who sees whom and when: without this nobody is expected and nobody comes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Func, Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.core.transitions import Stateful, Table

SHORTEST, LONGEST = 5, 480  # minutes
FIRST_YEAR, LAST_YEAR = 1950, 2150
RESCHEDULED = "Rescheduled."


class AppointmentStatus(models.TextChoices):
    SCHEDULED = "scheduled"
    CONFIRMED = "confirmed"
    CHECKED_IN = "checked_in"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


class AppointmentType(models.TextChoices):
    CONSULTATION = "consultation"
    FOLLOW_UP = "follow_up"
    PROCEDURE = "procedure"
    LAB_WORK = "lab_work"
    VACCINATION = "vaccination"
    TELEMEDICINE = "telemedicine"


AWAITED = (AppointmentStatus.SCHEDULED, AppointmentStatus.CONFIRMED)
HOLDS_SLOT = (*AWAITED, AppointmentStatus.CHECKED_IN, AppointmentStatus.IN_PROGRESS)


class EndOfVisit(Func):
    """Start plus minutes, computed in UTC: only so does PostgreSQL take it for immutable and store it."""

    template = "timezone('UTC', timezone('UTC', %(expressions)s))"
    arg_joiner = ") + make_interval(mins => "
    arity = 2
    output_field = models.DateTimeField()


class TimeRange(Func):
    """[start, end): a visit that begins when another ends does not overlap it."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


def one_at_a_time(who: str, sentence: str) -> ExclusionConstraint:
    """Return the constraint that gives `who` ("doctor", "patient") one visit at a time, whoever writes the row."""
    return ExclusionConstraint(
        name=f"appointments_appointment_{who}_once",
        expressions=[
            (who, RangeOperators.EQUAL),
            (TimeRange("appointment_datetime", "ends_at", RangeBoundary()), RangeOperators.OVERLAPS),
        ],
        condition=Q(status__in=[str(status) for status in HOLDS_SLOT], is_deleted=False),
        violation_error_message=sentence,
    )


class Appointment(Stateful, ClinicModel):
    """One visit. `version` rises with every change of time, doctor, place or status (a trigger sees to it).

    A visit booked in place of another is the same entry in the patient's calendar: calendar_id is the first of such a
    chain, empty for that one itself, and calendar_before how many versions the earlier ones had.
    """

    Status = AppointmentStatus
    Type = AppointmentType

    access: ClassVar[scope.Access] = scope.of_patient("patient", doctor_user="doctor__user")
    TRANSITIONS: ClassVar[Table] = {
        Status.SCHEDULED: frozenset({Status.CONFIRMED, Status.CHECKED_IN, Status.CANCELLED, Status.NO_SHOW}),
        Status.CONFIRMED: frozenset({Status.CHECKED_IN, Status.CANCELLED, Status.NO_SHOW}),
        Status.CHECKED_IN: frozenset({Status.IN_PROGRESS, Status.CANCELLED}),
        Status.IN_PROGRESS: frozenset({Status.COMPLETED}),
        Status.NO_SHOW: frozenset({Status.CHECKED_IN, Status.COMPLETED}),  # by `came_after_all` only
    }

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="appointments")
    doctor = models.ForeignKey("doctors.Doctor", on_delete=models.PROTECT, related_name="appointments")
    status = models.CharField(max_length=11, choices=Status, default=Status.SCHEDULED, editable=False)
    appointment_type = models.CharField(max_length=12, choices=Type, default=Type.CONSULTATION)
    appointment_datetime = models.DateTimeField()
    duration_minutes = models.PositiveSmallIntegerField(
        default=30, validators=[MinValueValidator(SHORTEST), MaxValueValidator(LONGEST)]
    )
    ends_at = models.GeneratedField(
        expression=EndOfVisit("appointment_datetime", "duration_minutes"),
        output_field=models.DateTimeField(),
        db_persist=True,
    )
    location = models.CharField(max_length=120, blank=True, help_text="Room, branch or video link's name.")
    reason = models.CharField(max_length=300, blank=True)
    checked_in_at = models.DateTimeField(null=True, blank=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    checked_out_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancellation_reason = models.CharField(max_length=300, blank=True, editable=False)
    rescheduled_from = models.OneToOneField(
        "self", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="rescheduled_to"
    )
    availability_override_reason = models.CharField(
        max_length=200, blank=True, help_text="Why this visit may lie outside the doctor's hours."
    )
    availability_overridden_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    calendar_id = models.UUIDField(null=True, blank=True, editable=False)
    calendar_before = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["appointment_datetime", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            one_at_a_time("doctor", "The doctor already has an appointment at that time."),
            one_at_a_time("patient", "The patient already has an appointment at that time."),
            models.CheckConstraint(
                condition=Q(status__in=AppointmentStatus.values), name="appointments_appointment_status_known"
            ),
            models.CheckConstraint(
                condition=Q(appointment_type__in=AppointmentType.values), name="appointments_appointment_type_known"
            ),
            models.CheckConstraint(
                condition=Q(duration_minutes__range=(SHORTEST, LONGEST)),
                name="appointments_appointment_duration",
                violation_error_message=f"A visit lasts {SHORTEST} to {LONGEST} minutes.",
            ),
            models.CheckConstraint(
                condition=Q(status=AppointmentStatus.CANCELLED, cancelled_at__isnull=False)
                | (~Q(status=AppointmentStatus.CANCELLED) & Q(cancelled_at__isnull=True, cancellation_reason="")),
                name="appointments_appointment_cancelled_has_time",
            ),
            models.CheckConstraint(
                condition=Q(availability_overridden_by__isnull=True) | ~Q(availability_override_reason=""),
                name="appointments_appointment_override_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(checked_out_at__isnull=True)
                | Q(checked_in_at__isnull=True)
                | Q(checked_out_at__gte=F("checked_in_at")),
                name="appointments_appointment_out_after_in",
            ),
            models.CheckConstraint(
                condition=Q(rescheduled_from__isnull=True) | ~Q(rescheduled_from=F("id")),
                name="appointments_appointment_not_from_itself",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["doctor", "appointment_datetime"], name="appointment_doctor_time"),
            models.Index(fields=["patient", "appointment_datetime"], name="appointment_patient_time"),
            models.Index(fields=["appointment_datetime", "id"], name="appointment_time"),
            models.Index(fields=["status", "appointment_datetime"], name="appointment_status_time"),
            models.Index(fields=["appointment_type", "appointment_datetime"], name="appointment_type_time"),
            models.Index(fields=["location", "appointment_datetime"], name="appointment_place_time"),
            models.Index(fields=["-created_at", "id"], name="appointment_newest"),
            models.Index(fields=["-updated_at", "id"], name="appointment_changed"),
            models.Index(fields=["calendar_id"], name="appointment_calendar", condition=Q(calendar_id__isnull=False)),
        ]

    @property
    def end_datetime(self) -> datetime:
        return self.appointment_datetime + timedelta(minutes=self.duration_minutes)

    @property
    def calendar_key(self) -> UUID:
        """What the visit is called in the patient's calendar, whatever rows it has gone through."""
        return self.calendar_id or self.pk

    @property
    def calendar_sequence(self) -> int:
        """The number of the entry in the patient's calendar: the higher one replaces the lower (RFC 5545, 3.8.7.4)."""
        return self.calendar_before + self.version

    @property
    def is_upcoming(self) -> bool:
        """Whether the patient is still awaited."""
        return self.status in AWAITED and self.appointment_datetime > timezone.now()

    @property
    def is_today(self) -> bool:
        """Whether it begins today by the clinic's calendar."""
        zone = Clinic.current().zone
        return timezone.localdate(self.appointment_datetime, zone) == timezone.localdate(timezone=zone)

    @property
    def is_past(self) -> bool:
        return self.end_datetime <= timezone.now()

    @property
    def has_begun(self) -> bool:
        return self.appointment_datetime <= timezone.now()

    def move_to(self, new: str, **changes: Any) -> None:
        """Move to status `new` with `changes`; the version rises in the same UPDATE."""
        super().move_to(new, **{"version": F("version") + 1, **changes})

    def change(self, **changes: Any) -> None:
        """Save `changes` in one UPDATE that raises the version when time, doctor or place change with it.

        Raises:
            Conflict: another process changed the row since we read it.
        """
        moving = {"appointment_datetime", "duration_minutes", "doctor", "location"}
        if any(name in moving and getattr(self, name) != value for name, value in changes.items()):
            changes["version"] = F("version") + 1
        rows = type(self)._base_manager.filter(pk=self.pk, version=self.version, status=self.status)
        if not rows.update(**changes, updated_at=timezone.now()):
            raise Conflict("Someone else has just changed this appointment; load it again.")
        self.refresh_from_db()

    def check_in(self) -> None:
        self._refuse_missed(self.Status.CHECKED_IN)
        self.move_to(self.Status.CHECKED_IN, checked_in_at=timezone.now())

    def complete(self) -> None:
        self._refuse_missed(self.Status.COMPLETED)
        self.move_to(self.Status.COMPLETED, checked_out_at=timezone.now())

    def cancel(self, reason: str = "") -> None:
        self.move_to(self.Status.CANCELLED, cancelled_at=timezone.now(), cancellation_reason=reason.strip())

    def mark_no_show(self) -> None:
        if not self.has_begun:
            raise DomainError("This appointment has not begun yet; nobody has missed it.")
        self.move_to(self.Status.NO_SHOW)

    def came_after_all(self, *, is_over: bool) -> None:
        """Take back that nobody came: the patient is here, or was. When they came and went is not known then."""
        if self.status != self.Status.NO_SHOW:
            raise IllegalTransition(f"This appointment is {self.status} and not marked as missed.")
        if is_over:
            self.move_to(self.Status.COMPLETED)
        else:
            self.move_to(self.Status.CHECKED_IN, checked_in_at=timezone.now())

    def _refuse_missed(self, new: str) -> None:
        if self.status == self.Status.NO_SHOW:
            raise IllegalTransition(
                f"This appointment is no_show and cannot become {new} without a reason; say that the patient came after"
                " all."
            )

    @transaction.atomic
    def reschedule(
        self, appointment_datetime: datetime, duration_minutes: int | None = None, **changes: Any
    ) -> Appointment:
        """Cancel this and return a new appointment at another time; the old slot is free before the new is taken."""
        self.cancel(RESCHEDULED)
        kept = {name: getattr(self, name) for name in ("patient", "doctor", "appointment_type", "location", "reason")}
        new = Appointment(
            **{**kept, **changes},
            appointment_datetime=appointment_datetime,
            duration_minutes=duration_minutes or self.duration_minutes,
            rescheduled_from=self,
            calendar_id=self.calendar_key,
            calendar_before=self.calendar_sequence,
        )
        new.save(force_insert=True)
        return new

    def clean(self) -> None:
        super().clean()
        start = self.appointment_datetime
        if start and timezone.is_naive(start):
            raise ValidationError({"appointment_datetime": "A time needs its zone."})
        if start and not FIRST_YEAR <= start.year <= LAST_YEAR:
            raise ValidationError({"appointment_datetime": "This year cannot be right."})
