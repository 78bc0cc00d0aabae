"""How paid days are earned, and why a balance is what it is; without it nobody could explain a balance."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q

from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.models import Clinic
from backend.apps.core.scope import SHARED, Access
from backend.apps.employees.models.staff import NOBODY, Employee


def next_month(day: date) -> date:
    """Return the first day of the month after that of `day`."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


class TimeOffPolicy(ClinicModel):
    """How many paid days one kind of employment earns from the month of `begins_on` on, until a later one begins.

    Whose kind has no policy earns none, nor does who has one that is not active.

    days_a_month: booked on the first of each month; of the month of hire only the part that is worked. most_days: what
    is earned never lifts a balance above it. carry_over_days: what is left above it when a year ends is lost.
    """

    access: ClassVar[Access] = SHARED

    employment_type = models.CharField(max_length=10, choices=Employee.EmploymentType)
    days_a_month = models.DecimalField(
        max_digits=4, decimal_places=2, validators=[MinValueValidator(0), MaxValueValidator(10)]
    )
    most_days = models.DecimalField(
        max_digits=5, decimal_places=2, validators=[MinValueValidator(0), MaxValueValidator(366)]
    )
    carry_over_days = models.DecimalField(
        max_digits=5, decimal_places=2, validators=[MinValueValidator(0), MaxValueValidator(366)]
    )
    accrues_on_leave = models.BooleanField(default=True, db_default=True)
    begins_on = models.DateField(blank=True, help_text="The first of the next month when left out.")
    is_active = models.BooleanField(default=True, db_default=True)

    class Meta(ClinicModel.Meta):
        verbose_name = "policy of time off"
        verbose_name_plural = "policies of time off"
        ordering = ["employment_type", "-begins_on"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["employment_type", "begins_on"],
                condition=Q(is_deleted=False),
                name="employees_timeoffpolicy_one_at_a_time",
                violation_error_message="This kind of employment has a policy from that day already; change that one.",
            ),
            models.CheckConstraint(
                condition=Q(employment_type__in=Employee.EmploymentType.values),
                name="employees_timeoffpolicy_type_known",
            ),
            models.CheckConstraint(
                condition=Q(days_a_month__gte=0, days_a_month__lte=10), name="employees_timeoffpolicy_days_a_month"
            ),
            models.CheckConstraint(
                condition=Q(carry_over_days__gte=0, carry_over_days__lte=F("most_days")),
                name="employees_timeoffpolicy_carries_no_more_than_most",
                violation_error_message="No more days are carried over than may be held at most.",
            ),
        ]

    def clean(self) -> None:
        super().clean()
        self._begin()

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._begin()
        super().save(*args, **kwargs)

    def accrues(self, status: str) -> bool:
        """Whether who stands so in the clinic earns days."""
        on_leave = status == Employee.Status.ON_LEAVE and self.accrues_on_leave
        return status == Employee.Status.ACTIVE or on_leave

    def _begin(self) -> None:
        self.begins_on = self.begins_on or next_month(Clinic.today())


class PtoKind(models.TextChoices):
    OPENING = "opening", "balance before the first entry"
    ACCRUAL = "accrual", "earned"
    CARRY_OVER_CUT = "carry_over_cut", "lost when the year ended"
    TAKEN = "taken"
    RETURNED = "returned"
    CORRECTION = "correction"


ONCE_A_PERIOD = (PtoKind.OPENING, PtoKind.ACCRUAL, PtoKind.CARRY_OVER_CUT)


class PtoEntry(ClinicModel):
    """One movement of a person's balance of paid days, written with it; the entries of a person add up to the balance.

    period: "2026-11" of what was earned, "2026" of what was lost when that year ended. effective_on: the day it counts
    from, whenever it was booked: a sweep that comes late finds the same balance as one in time.
    """

    Kind = PtoKind

    access: ClassVar[Access] = Access(sees_all=NOBODY, owners=("employee__user", "employee__department__head__user"))

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="pto_entries")
    kind = models.CharField(max_length=14, choices=PtoKind, editable=False)
    period = models.CharField(max_length=7, blank=True, default="", db_default="", editable=False)
    effective_on = models.DateField(editable=False)
    days = models.DecimalField(max_digits=6, decimal_places=2, editable=False)
    by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    time_off = models.ForeignKey(
        "employees.EmployeeTimeOff",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="pto_entries",
    )

    class Meta(ClinicModel.Meta):
        verbose_name = "entry of paid days"
        verbose_name_plural = "entries of paid days"
        ordering = ["-effective_on", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["employee", "kind", "period"],
                condition=Q(kind__in=[str(kind) for kind in ONCE_A_PERIOD]),
                name="employees_ptoentry_once_a_period",
            ),
            models.UniqueConstraint(
                fields=["time_off", "kind"],
                condition=Q(time_off__isnull=False),
                name="employees_ptoentry_once_a_request",
            ),
            models.CheckConstraint(condition=Q(kind__in=PtoKind.values), name="employees_ptoentry_kind_known"),
            models.CheckConstraint(
                condition=Q(kind__in=["opening", "correction"])
                | Q(kind="accrual", days__gte=0)
                | Q(kind="returned", days__gt=0)
                | Q(kind__in=["taken", "carry_over_cut"], days__lt=0),
                name="employees_ptoentry_sign",
            ),
            models.CheckConstraint(
                condition=~Q(kind="correction") | ~Q(note=""), name="employees_ptoentry_corrected_why"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["employee", "-effective_on"], name="ptoentry_employee"),
            models.Index(fields=["kind", "-effective_on"], name="ptoentry_kind"),
            models.Index(fields=["-effective_on", "-id"], name="ptoentry_day"),
            models.Index(fields=["-created_at", "id"], name="ptoentry_newest"),
        ]

    @classmethod
    @transaction.atomic
    def book(cls, employee: Employee, kind: str, days: Decimal, **fields: Any) -> PtoEntry:
        """Move the balance by `days` and write down why: both or neither.

        Raises:
            DomainError: the balance would fall below zero.
        """
        if days and kind != PtoKind.OPENING:  # the opening says what the balance is
            employee.add_pto(days)
        fields.setdefault("effective_on", Clinic.today())
        return cls.objects.create(employee=employee, kind=kind, days=days, **fields)
