"""Who would come sooner, which time became free, and whom it was offered; without it a cancelled hour stays empty."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments.models.visits import LONGEST, SHORTEST, Appointment, AppointmentType, EndOfVisit
from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.roles import Role
from backend.apps.core.transitions import Stateful, Table
from backend.apps.core.work import WorkItem, WorkState, work_indexes

HOLD = timedelta(minutes=30)  # from the moment the offer was sent
NO_LATER = timedelta(hours=2)  # before the time itself: who is asked later cannot come


class EntryStatus(models.TextChoices):
    WAITING = "waiting"
    BOOKED = "booked"
    WITHDRAWN = "withdrawn"


class SlotStatus(models.TextChoices):
    OPEN = "open"
    TAKEN = "taken"
    WITHDRAWN = "withdrawn", "withdrawn: no longer free"
    EXPIRED = "expired", "expired: nobody took it"


class OfferStatus(models.TextChoices):
    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    LAPSED = "lapsed", "lapsed: the doctor may not be booked"


def visit_minutes() -> models.PositiveSmallIntegerField[Any, Any]:
    return models.PositiveSmallIntegerField(
        default=30, validators=[MinValueValidator(SHORTEST), MaxValueValidator(LONGEST)]
    )


class WaitlistEntry(Stateful, ClinicModel):
    """One wish for an earlier visit. Who came first stands first.

    doctor: empty for any. from_on, until_on: days of the clinic's calendar, both included. earliest, latest: the visit
    lies between them on the clinic's wall clock.
    """

    Status = EntryStatus

    access: ClassVar[scope.Access] = scope.Access(patient="patient_id", doctor_user="doctor__user")
    TRANSITIONS: ClassVar[Table] = {Status.WAITING: frozenset({Status.BOOKED, Status.WITHDRAWN})}

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="waitlist_entries")
    doctor = models.ForeignKey(
        "doctors.Doctor", null=True, blank=True, on_delete=models.PROTECT, related_name="waitlist_entries"
    )
    appointment_type = models.CharField(max_length=12, choices=AppointmentType, default=AppointmentType.CONSULTATION)
    duration_minutes = visit_minutes()
    from_on = models.DateField()
    until_on = models.DateField()
    earliest = models.TimeField(null=True, blank=True)
    latest = models.TimeField(null=True, blank=True)
    status = models.CharField(max_length=9, choices=EntryStatus, default=EntryStatus.WAITING, editable=False)
    note = models.CharField(max_length=300, blank=True, help_text="For staff only; patients are not sent it.")

    class Meta(ClinicModel.Meta):
        ordering = ["created_at", "id"]
        verbose_name_plural = "waitlist entries"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["patient", "appointment_type", "doctor"],
                condition=Q(status=EntryStatus.WAITING, is_deleted=False),
                nulls_distinct=False,
                name="appointments_waitlist_once",
                violation_error_message="The patient waits for this already.",
            ),
            models.CheckConstraint(condition=Q(status__in=EntryStatus.values), name="appointments_waitlist_status"),
            models.CheckConstraint(
                condition=Q(appointment_type__in=AppointmentType.values), name="appointments_waitlist_type_known"
            ),
            models.CheckConstraint(
                condition=Q(until_on__gte=F("from_on")),
                name="appointments_waitlist_days",
                violation_error_message="The last day is not before the first.",
            ),
            models.CheckConstraint(
                condition=Q(earliest__isnull=True) | Q(latest__isnull=True) | Q(latest__gt=F("earliest")),
                name="appointments_waitlist_hours",
                violation_error_message="The hours begin before they end.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["appointment_type", "created_at", "id"], name="waitlist_line", condition=Q(status="waiting")
            ),
            models.Index(fields=["status", "created_at"], name="waitlist_status"),
            models.Index(fields=["created_at", "id"], name="waitlist_oldest"),
            models.Index(fields=["until_on"], name="waitlist_until"),
        ]

    @classmethod
    def make_room(cls, patient: Any, into: Any) -> None:
        """Withdraw, before two records become one, the later of two entries that wait for the same."""
        waiting = cls.objects.filter(status=EntryStatus.WAITING, patient__in=[patient, into])
        seen: set[tuple[Any, ...]] = set()
        for entry in waiting.order_by("created_at", "id"):
            wish = (entry.appointment_type, entry.doctor_id)
            if wish in seen:
                entry.move_to(EntryStatus.WITHDRAWN)
            seen.add(wish)


class FreedSlot(Stateful, ClinicModel, WorkItem):
    """A doctor's time that became free while somebody waited for it; it goes down the line until one takes it.

    freed_by: the visit that was there; one that is moved twice frees two times.
    """

    Status = SlotStatus

    task_name: ClassVar[str] = "waitlist.offer"
    replay_safe: ClassVar[bool] = True
    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset({Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST}))
    TRANSITIONS: ClassVar[Table] = {Status.OPEN: frozenset({Status.TAKEN, Status.WITHDRAWN, Status.EXPIRED})}

    doctor = models.ForeignKey("doctors.Doctor", editable=False, on_delete=models.PROTECT, related_name="freed_slots")
    starts_at = models.DateTimeField(editable=False)
    duration_minutes = models.PositiveSmallIntegerField(editable=False)
    ends_at = models.GeneratedField(
        expression=EndOfVisit("starts_at", "duration_minutes"), output_field=models.DateTimeField(), db_persist=True
    )
    appointment_type = models.CharField(max_length=12, choices=AppointmentType, editable=False)
    location = models.CharField(max_length=120, blank=True, editable=False)
    freed_by = models.ForeignKey(Appointment, editable=False, on_delete=models.PROTECT, related_name="freed_slots")
    status = models.CharField(max_length=9, choices=SlotStatus, default=SlotStatus.OPEN, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["starts_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(status__in=SlotStatus.values), name="appointments_slot_status_known"),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="appointments_slot_work_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("freed_slot"),
            models.Index(fields=["doctor", "starts_at"], name="freed_slot_open", condition=Q(status="open")),
            models.Index(fields=["starts_at", "id"], name="freed_slot_time"),
        ]

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        return {"status": SlotStatus.WITHDRAWN} if state == WorkState.FAILED else {}

    @property
    def ends(self) -> datetime:
        return self.starts_at + timedelta(minutes=self.duration_minutes)

    @property
    def last_moment(self) -> datetime:
        """Until when it may be held for anybody."""
        return self.starts_at - NO_LATER


class WaitlistOffer(Stateful, ClinicModel):
    """One freed time offered to one who waits. It is theirs until `held_until`, or until they say no.

    Once, but for offers that lapsed because the doctor might not be booked: the time is offered anew once that is over.

    sent_at: when the message left; the hold counts from then.
    """

    Status = OfferStatus

    access: ClassVar[scope.Access] = scope.Access(patient="entry__patient_id", doctor_user="slot__doctor__user")
    TRANSITIONS: ClassVar[Table] = {
        Status.OFFERED: frozenset({Status.ACCEPTED, Status.DECLINED, Status.EXPIRED, Status.LAPSED}),
    }

    slot = models.ForeignKey(FreedSlot, editable=False, on_delete=models.PROTECT, related_name="offers")
    entry = models.ForeignKey(WaitlistEntry, editable=False, on_delete=models.PROTECT, related_name="offers")
    status = models.CharField(max_length=8, choices=OfferStatus, default=OfferStatus.OFFERED, editable=False)
    held_until = models.DateTimeField(editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    appointment = models.OneToOneField(
        Appointment, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="waitlist_offer"
    )

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["slot", "entry"], condition=~Q(status=OfferStatus.LAPSED), name="appointments_offer_once"
            ),
            models.UniqueConstraint(
                fields=["slot"], condition=Q(status=OfferStatus.ACCEPTED), name="appointments_offer_one_wins"
            ),
            models.CheckConstraint(condition=Q(status__in=OfferStatus.values), name="appointments_offer_status_known"),
            models.CheckConstraint(
                condition=Q(status=OfferStatus.ACCEPTED, appointment__isnull=False)
                | (~Q(status=OfferStatus.ACCEPTED) & Q(appointment__isnull=True)),
                name="appointments_offer_accepted_is_booked",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["held_until"], name="waitlist_offer_held", condition=Q(status="offered")),
            models.Index(fields=["status", "-created_at"], name="waitlist_offer_status"),
            models.Index(fields=["-created_at", "id"], name="waitlist_offer_newest"),
        ]

    @property
    def holds(self) -> bool:
        """Whether it can still be accepted, but for what happened to the time meanwhile."""
        return self.status == OfferStatus.OFFERED and self.held_until > timezone.now()


STILL_HELD = Q(status=OfferStatus.OFFERED, held_until__gt=Now(), slot__status=SlotStatus.OPEN)
