"""Requests for time off; without it two approvals could spend the same paid day twice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Func, Q, Value
from django.utils import timezone

from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import DomainError
from backend.apps.core.scope import Access
from backend.apps.core.transitions import Stateful, Table
from backend.apps.employees.models.balances import PtoEntry
from backend.apps.employees.models.staff import NOBODY, Employee
from backend.apps.employees.schedule import working_days

LONGEST_REASON = 1000  # characters


class EmployeeTimeOff(ClinicModel, Stateful):
    """A range of days, both ends included. Paid days leave the balance on approval, once, and come back on cancel."""

    class TimeOffType(models.TextChoices):
        VACATION = "vacation"
        SICK = "sick"
        PERSONAL = "personal"
        BEREAVEMENT = "bereavement"
        MATERNITY = "maternity"
        PATERNITY = "paternity"
        UNPAID = "unpaid"

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        DENIED = "denied"
        CANCELLED = "cancelled"

    PAID_FROM_BALANCE: ClassVar[frozenset[str]] = frozenset({TimeOffType.VACATION, TimeOffType.PERSONAL})
    TRANSITIONS: ClassVar[Table] = {
        Status.PENDING: frozenset({Status.APPROVED, Status.DENIED, Status.CANCELLED}),
        Status.APPROVED: frozenset({Status.CANCELLED}),
        Status.DENIED: frozenset(),
        Status.CANCELLED: frozenset(),
    }
    access: ClassVar[Access] = Access(sees_all=NOBODY, owners=("employee__user", "employee__department__head__user"))

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="time_off")
    time_off_type = models.CharField(max_length=11, choices=TimeOffType)
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING, editable=False)
    start_date = models.DateField()
    end_date = models.DateField()
    days_requested = models.DecimalField(
        max_digits=5, decimal_places=2, blank=True, help_text="Working days; counted from the range when left out."
    )
    reason = models.CharField(max_length=LONGEST_REASON, blank=True)
    approved_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True, editable=False)
    denial_reason = models.CharField(max_length=LONGEST_REASON, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        verbose_name = "request for time off"
        verbose_name_plural = "requests for time off"
        ordering = ["-start_date", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            ExclusionConstraint(
                name="employees_employeetimeoff_no_overlap",
                expressions=[
                    ("employee", RangeOperators.EQUAL),
                    (
                        Func(
                            F("start_date"), F("end_date"), Value("[]"), function="daterange",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(status__in=["pending", "approved"], is_deleted=False),
                violation_error_message="Another request of this person covers some of these days.",
            ),
            models.CheckConstraint(
                condition=Q(
                    time_off_type__in=[
                        "vacation", "sick", "personal", "bereavement", "maternity", "paternity", "unpaid",
                    ]
                ),
                name="employees_employeetimeoff_type_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "approved", "denied", "cancelled"]),
                name="employees_employeetimeoff_status_known",
            ),
            models.CheckConstraint(
                condition=Q(end_date__gte=F("start_date")),
                name="employees_employeetimeoff_ends_after_start",
                violation_error_message="The last day cannot come before the first.",
            ),
            models.CheckConstraint(
                condition=Q(days_requested__gt=0), name="employees_employeetimeoff_some_days"
            ),
            models.CheckConstraint(
                condition=~Q(status="approved") | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="employees_employeetimeoff_approved_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(status="denied") | ~Q(denial_reason=""),
                name="employees_employeetimeoff_denied_with_reason",
            ),
        ]  # fmt: skip
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["employee", "-start_date"], name="timeoff_employee"),
            models.Index(fields=["status", "start_date"], name="timeoff_status"),
            models.Index(fields=["-start_date", "id"], name="timeoff_start"),
        ]

    @property
    def is_paid_from_balance(self) -> bool:
        return self.time_off_type in self.PAID_FROM_BALANCE

    def clean(self) -> None:
        super().clean()
        if not (self.start_date and self.end_date and self.employee_id):
            return
        if self.end_date < self.start_date:
            raise ValidationError({"end_date": "The last day cannot come before the first."})
        if self.start_date < self.employee.hire_date:
            raise ValidationError({"start_date": "This day lies before the person's first day of work."})
        self._count_days()
        if not 0 < self.days_requested <= (self.end_date - self.start_date).days + 1:
            raise ValidationError(
                {"days_requested": "The days must be more than none and fit between the first and the last day."}
            )

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._count_days()
        super().save(*args, **kwargs)

    def _count_days(self) -> None:
        if self.days_requested is None:
            self.days_requested = Decimal(working_days(self.employee.work_schedule, self.start_date, self.end_date))

    @transaction.atomic
    def approve(self, by: Any) -> None:
        """Approve, and take paid days from the balance: both or neither, once."""
        self._refuse_own(by)
        employee = self._lock_employee()
        if employee.has_ended:
            raise DomainError("This person no longer works here.")
        short = self.is_paid_from_balance and employee.pto_balance < self.days_requested
        if short and self.status == self.Status.PENDING:
            raise DomainError("The balance of paid days is too short for this request.")
        self.move_to(self.Status.APPROVED, approved_by=by, approved_at=timezone.now())
        if self.is_paid_from_balance:
            PtoEntry.book(employee, PtoEntry.Kind.TAKEN, -self.days_requested, by=by, time_off=self)

    def deny(self, by: Any, reason: str) -> None:
        self._refuse_own(by)
        if not reason.strip():
            raise DomainError("Say why the request is denied.")
        self.move_to(self.Status.DENIED, denial_reason=reason)

    @transaction.atomic
    def cancel(self, by: Any = None) -> None:
        """Cancel, and give paid days of an approved request back: both or neither, once."""
        employee = self._lock_employee()
        was_approved = self.status == self.Status.APPROVED
        self.move_to(self.Status.CANCELLED)
        if was_approved and self.is_paid_from_balance:
            PtoEntry.book(employee, PtoEntry.Kind.RETURNED, self.days_requested, by=by, time_off=self)

    def has_begun(self, today: date) -> bool:
        return self.start_date <= today

    def _refuse_own(self, by: Any) -> None:
        if by is not None and by.pk == self.employee.user_id:
            raise DomainError("Nobody decides on their own request.")

    def _lock_employee(self) -> Employee:
        """Lock this request, so that its days stay as they are, and then the person whose balance moves."""
        mine = type(self)._base_manager.select_for_update(no_key=True)
        self.refresh_from_db(fields=["days_requested", "time_off_type"], from_queryset=mine)
        return Employee._base_manager.select_for_update(no_key=True).get(pk=self.employee_id)
