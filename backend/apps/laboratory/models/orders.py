"""What was asked of the laboratory; without this a result would answer no question."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import connection, models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.roles import Role
from backend.apps.core.transitions import Stateful, Table

# Shape only: a letter, two digits or letters, then up to four more behind a dot. The second place may be a letter since
# the edition of 2026 (QA0.0101).
ICD_10_CM = r"^([A-Z][0-9A-Z]{2}(\.[0-9A-Z]{1,4})?)?$"


class OrderStatus(models.TextChoices):
    PENDING = "pending"
    ORDERED = "ordered"
    SPECIMEN_COLLECTED = "specimen_collected"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class OrderPriority(models.TextChoices):
    ROUTINE = "routine"
    URGENT = "urgent"
    STAT = "stat", "STAT"


def next_order_numbers(count: int) -> list[str]:
    """Return as many order numbers, as LO0000001, from the database's own sequence: none is given twice."""
    if not count:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('laboratory_order_number') FROM generate_series(1, %s)", [count])
        return [f"LO{number:07d}" for (number,) in cursor.fetchall()]


class LabOrder(Stateful, ClinicModel):
    """One order. `is_external`: nobody here placed it; it was made for a result that arrived unasked.

    People move `status` along the arrows; `statuses.settle` lets the results that arrive move it as they say.
    """

    Status = OrderStatus
    Priority = OrderPriority

    access: ClassVar[scope.Access] = scope.of_patient("patient", doctor_user="doctor__user")
    TRANSITIONS: ClassVar[Table] = {
        Status.PENDING: frozenset({Status.ORDERED, Status.CANCELLED}),
        Status.ORDERED: frozenset({Status.SPECIMEN_COLLECTED, Status.CANCELLED}),
        Status.SPECIMEN_COLLECTED: frozenset({Status.IN_PROGRESS, Status.CANCELLED}),
        Status.IN_PROGRESS: frozenset({Status.COMPLETED, Status.CANCELLED}),
    }

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="lab_orders", db_index=False)
    doctor = models.ForeignKey(
        "doctors.Doctor", null=True, blank=True, on_delete=models.PROTECT, related_name="lab_orders", db_index=False
    )
    appointment = models.ForeignKey(
        "appointments.Appointment", null=True, blank=True, on_delete=models.PROTECT, related_name="lab_orders"
    )
    feed = models.ForeignKey(
        "laboratory.LabFeed",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="lab_orders",
        help_text="The laboratory the order is sent to; empty: it goes there on paper.",
    )
    tests = models.ManyToManyField("laboratory.LabTest", blank=True, related_name="lab_orders")
    status = models.CharField(max_length=18, choices=Status, default=Status.PENDING, editable=False)
    priority = models.CharField(max_length=7, choices=Priority, default=Priority.ROUTINE)
    clinical_indication = models.TextField(blank=True, max_length=2000)
    diagnosis_code = models.CharField(
        max_length=8, blank=True, validators=[RegexValidator(ICD_10_CM, "Write an ICD-10-CM code, as E11.9.")]
    )
    order_number = models.CharField(max_length=20, unique=True, editable=False)
    order_date = models.DateTimeField(default=timezone.now, editable=False)
    placer_order_number = models.CharField(
        max_length=200, blank=True, editable=False, help_text="The number another system placed this order under."
    )
    is_external = models.BooleanField(default=False, editable=False)
    specimen_collected_at = models.DateTimeField(null=True, blank=True, editable=False)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancelled_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    cancellation_reason = models.CharField(max_length=300, blank=True, editable=False)
    reviewed_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-order_date", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(status__in=OrderStatus.values), name="laboratory_laborder_status_known"),
            models.CheckConstraint(
                condition=Q(priority__in=OrderPriority.values), name="laboratory_laborder_priority_known"
            ),
            models.CheckConstraint(
                condition=Q(doctor__isnull=False) | Q(is_external=True),
                name="laboratory_laborder_has_doctor",
                violation_error_message="An order needs the doctor who places it.",
            ),
            models.CheckConstraint(
                condition=Q(diagnosis_code__regex=ICD_10_CM), name="laboratory_laborder_diagnosis_form"
            ),
            models.CheckConstraint(condition=~Q(order_number=""), name="laboratory_laborder_numbered"),
            models.CheckConstraint(
                condition=Q(status=OrderStatus.COMPLETED, completed_at__isnull=False)
                | (~Q(status=OrderStatus.COMPLETED) & Q(completed_at__isnull=True)),
                name="laboratory_laborder_completed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status=OrderStatus.CANCELLED, cancelled_at__isnull=False)
                | (~Q(status=OrderStatus.CANCELLED) & Q(cancelled_at__isnull=True, cancelled_by__isnull=True)),
                name="laboratory_laborder_cancelled_has_time",
            ),
            models.CheckConstraint(
                condition=Q(reviewed_by__isnull=True, reviewed_at__isnull=True)
                | Q(reviewed_by__isnull=False, reviewed_at__isnull=False),
                name="laboratory_laborder_reviewed_by_whom",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["patient", "-order_date"], name="laborder_patient_newest"),
            models.Index(fields=["doctor", "-order_date"], name="laborder_doctor_newest"),
            models.Index(fields=["status", "-order_date"], name="laborder_status"),
            models.Index(fields=["priority", "-order_date"], name="laborder_priority"),
            models.Index(fields=["placer_order_number"], name="laborder_placer", condition=~Q(placer_order_number="")),
            models.Index(
                fields=["doctor", "completed_at"],
                name="laborder_unreviewed",
                condition=Q(status=OrderStatus.COMPLETED, reviewed_at__isnull=True),
            ),
            models.Index(
                fields=["order_date"],
                name="laborder_awaited",
                condition=Q(status__in=["ordered", "specimen_collected", "in_progress"]),
            ),
            models.Index(fields=["-order_date", "id"], name="laborder_by_date"),
            models.Index(fields=["-created_at", "id"], name="laborder_newest"),
            models.Index(fields=["-updated_at", "id"], name="laborder_changed"),
        ]

    @property
    def is_completed(self) -> bool:
        return self.status == OrderStatus.COMPLETED

    @property
    def is_urgent(self) -> bool:
        return self.priority in {OrderPriority.URGENT, OrderPriority.STAT}

    @property
    def is_open(self) -> bool:
        return self.status not in {OrderStatus.COMPLETED, OrderStatus.CANCELLED}

    @property
    def admin_label(self) -> str:
        return self.order_number

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.order_number:
            [self.order_number] = next_order_numbers(1)
        super().save(*args, **kwargs)

    def place(self) -> None:
        """Send the order on its way: from now on the laboratory expects a specimen."""
        self.move_to(OrderStatus.ORDERED, order_date=timezone.now())

    def mark_as_collected(self) -> None:
        self.move_to(OrderStatus.SPECIMEN_COLLECTED, specimen_collected_at=timezone.now())

    def start(self) -> None:
        self.move_to(OrderStatus.IN_PROGRESS)

    def mark_as_completed(self) -> None:
        self.move_to(OrderStatus.COMPLETED, completed_at=timezone.now())

    def cancel(self, reason: str = "", *, by: Any = None) -> None:
        self.move_to(
            OrderStatus.CANCELLED, cancelled_at=timezone.now(), cancelled_by=by, cancellation_reason=reason.strip()
        )

    def review(self, user: Any) -> None:
        """Note that a doctor has seen the finished order; the first review stands."""
        if getattr(user, "role", None) != Role.DOCTOR:
            raise DomainError("Only a doctor reviews an order.")
        if not self.is_completed:
            raise DomainError("This order has no finished results to review yet.")
        now = timezone.now()
        rows = type(self)._base_manager.filter(pk=self.pk, status=OrderStatus.COMPLETED, reviewed_at__isnull=True)
        if not rows.update(reviewed_by=user, reviewed_at=now, updated_at=now):
            raise Conflict("This order has been reviewed already.")
        self.refresh_from_db(fields=["reviewed_by", "reviewed_at", "updated_at"])

    def follow(self, status: str, at: Any = None) -> None:
        """Take the status a laboratory says, and save if that changed anything; see `stand`."""
        before = self.status, self.completed_at, self.cancelled_at, self.cancellation_reason
        self.stand(status, at)
        if before != (self.status, self.completed_at, self.cancelled_at, self.cancellation_reason):
            self.save(
                update_fields=["status", "completed_at", "cancelled_at", "cancellation_reason", "updated_at"],
            )

    def stand(self, status: str, at: Any = None) -> None:
        """Take the status a laboratory says, without saving; an order that a person cancelled stays cancelled.

        at: when the laboratory said so, for completed and cancelled. Results may arrive in any order, so this alone may
        also lead back: from completed to in_progress when a further test of the order turns up.
        """
        if self.status == OrderStatus.CANCELLED and self.cancelled_by_id:
            return
        at = at or timezone.now()
        self.status = status
        self.completed_at = at if status == OrderStatus.COMPLETED else None
        self.cancelled_at = at if status == OrderStatus.CANCELLED else None
        self.cancellation_reason = "The laboratory cancelled it." if status == OrderStatus.CANCELLED else ""

    def clean(self) -> None:
        super().clean()
        if self.appointment and self.patient_id and self.appointment.patient_id != self.patient_id:
            raise ValidationError({"appointment": "This appointment is another patient's."})


class FillerNumber(UUIDModel):
    """The number a laboratory knows an order by; one order may have one for each of its panels."""

    lab_order = models.ForeignKey(LabOrder, on_delete=models.PROTECT, related_name="filler_numbers")
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="+")
    sender = models.CharField(max_length=250)  # the laboratory's own name for itself, as sent
    number = models.CharField(max_length=200)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["patient", "sender", "number"], name="laboratory_fillernumber_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["number"], name="fillernumber_number")]

    def __str__(self) -> str:
        return f"filler number {self.pk}"
