"""Departments, the people who work here, their time off and their reviews; without it nobody could be let go safely."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection, models, transaction
from django.db.models import Count, F, Func, Q
from django.utils import timezone

from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.documents import KeptIn, validate_document
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.scope import Access
from backend.apps.core.transitions import Stateful, Table
from backend.apps.core.validators import validate_phone
from backend.apps.employees.schedule import validate_work_schedule
from backend.apps.users import services as users

REPORTING_LINES_LOCK = 7_301_001  # the same number stands in the trigger of migration 0001
NOBODY: frozenset[str] = frozenset()


class Department(ClinicModel):
    access: ClassVar[Access] = Access(sees_all=NOBODY, owners=("head__user",))

    name = models.CharField(max_length=120)
    code = models.CharField(max_length=20, unique=True)
    description = models.TextField(blank=True)
    head = models.ForeignKey(
        "employees.Employee", null=True, blank=True, on_delete=models.PROTECT, related_name="heads"
    )
    phone = models.CharField(max_length=16, blank=True, validators=[validate_phone])
    email = models.EmailField(blank=True)
    location = models.CharField(max_length=120, blank=True)
    annual_budget = models.DecimalField(
        max_digits=14, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )

    class Meta(ClinicModel.Meta):
        ordering = ["name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=~Q(code=""), name="employees_department_has_code"),
            models.CheckConstraint(condition=Q(annual_budget__gte=0), name="employees_department_budget_not_negative"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["name", "id"], name="department_name")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"

    def clean(self) -> None:
        super().clean()
        if self.head is not None and self.head.has_ended:
            raise ValidationError({"head": "This person no longer works here."})

    @property
    def employee_count(self) -> int:
        """How many people work here now; lists annotate `employees_now` and ask no further."""
        counted = self.__dict__.get("employees_now")
        return counted if counted is not None else self.employees.exclude(status__in=Employee.ENDED).count()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.employees.exclude(status__in=Employee.ENDED).exists():
            raise DomainError("People still work in this department; move them first.")
        return super().delete(*args, **kwargs)


class Employee(ClinicModel, Stateful):
    """A person who works here. Salary and contract are cut from what others see (`core.field_rules`)."""

    class EmploymentType(models.TextChoices):
        FULL_TIME = "full_time"
        PART_TIME = "part_time"
        CONTRACT = "contract"
        TEMPORARY = "temporary"
        INTERN = "intern"

    class Status(models.TextChoices):
        ACTIVE = "active"
        ON_LEAVE = "on_leave"
        SUSPENDED = "suspended"
        TERMINATED = "terminated"
        RETIRED = "retired"

    class PayFrequency(models.TextChoices):
        HOURLY = "hourly"
        WEEKLY = "weekly"
        BIWEEKLY = "biweekly"
        SEMIMONTHLY = "semimonthly"
        MONTHLY = "monthly"
        ANNUAL = "annual"

    ENDED: ClassVar[frozenset[str]] = frozenset({Status.TERMINATED, Status.RETIRED})
    TRANSITIONS: ClassVar[Table] = {
        Status.ACTIVE: frozenset({Status.ON_LEAVE, Status.SUSPENDED, *ENDED}),
        Status.ON_LEAVE: frozenset({Status.ACTIVE, Status.SUSPENDED, *ENDED}),
        Status.SUSPENDED: frozenset({Status.ACTIVE, *ENDED}),
        Status.RETIRED: frozenset(),
        Status.TERMINATED: frozenset(),
    }
    access: ClassVar[Access] = Access(sees_all=NOBODY, owners=("user", "department__head__user"))

    user = models.OneToOneField("users.User", on_delete=models.PROTECT, related_name="employee")
    employee_id = models.CharField(
        max_length=20,
        unique=True,
        editable=False,
        db_default=Func(
            template="'E' || nextval('employees_employee_number')::text", output_field=models.CharField(max_length=20)
        ),
    )
    department = models.ForeignKey(
        Department, null=True, blank=True, on_delete=models.PROTECT, related_name="employees"
    )
    position = models.CharField(max_length=120)
    manager = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="reports")
    employment_type = models.CharField(max_length=10, choices=EmploymentType, default=EmploymentType.FULL_TIME)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE, editable=False)
    hire_date = models.DateField()
    termination_date = models.DateField(null=True, blank=True, editable=False)
    termination_reason = models.CharField(max_length=500, blank=True, editable=False)
    last_promotion_date = models.DateField(null=True, blank=True)
    salary = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    pay_frequency = models.CharField(max_length=11, choices=PayFrequency, default=PayFrequency.ANNUAL)
    benefits_enrolled = models.BooleanField(default=False)
    work_schedule = models.JSONField(default=dict, blank=True, validators=[validate_work_schedule])
    pto_balance = models.DecimalField(
        "PTO balance in days", max_digits=6, decimal_places=2, default=Decimal(0), validators=[MinValueValidator(0)]
    )
    performance_rating = models.DecimalField(
        max_digits=2,
        decimal_places=1,
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
    )
    last_review_date = models.DateField(null=True, blank=True, editable=False)
    resume = models.FileField(
        upload_to=KeptIn("employees/resumes", "resume"), blank=True, max_length=200, validators=[validate_document]
    )
    contract = models.FileField(
        upload_to=KeptIn("employees/contracts", "contract"), blank=True, max_length=200, validators=[validate_document]
    )

    class Meta(ClinicModel.Meta):
        ordering = ["employee_id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(employment_type__in=["full_time", "part_time", "contract", "temporary", "intern"]),
                name="employees_employee_type_known",
            ),
            models.CheckConstraint(
                condition=Q(pay_frequency__in=["hourly", "weekly", "biweekly", "semimonthly", "monthly", "annual"]),
                name="employees_employee_pay_frequency_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["active", "on_leave", "suspended"], termination_date__isnull=True)
                | Q(status__in=["terminated", "retired"], termination_date__isnull=False),
                name="employees_employee_ended_has_date",
            ),
            models.CheckConstraint(
                condition=Q(termination_date__isnull=True) | Q(termination_date__gte=F("hire_date")),
                name="employees_employee_ends_after_hire",
            ),
            models.CheckConstraint(
                condition=Q(last_promotion_date__isnull=True) | Q(last_promotion_date__gte=F("hire_date")),
                name="employees_employee_promoted_after_hire",
                violation_error_message="A promotion cannot come before the first day of work.",
            ),
            models.CheckConstraint(condition=Q(salary__gte=0), name="employees_employee_salary_not_negative"),
            models.CheckConstraint(condition=Q(pto_balance__gte=0), name="employees_employee_pto_not_negative"),
            models.CheckConstraint(
                condition=Q(performance_rating__gte=1, performance_rating__lte=5),
                name="employees_employee_rating_1_to_5",
            ),
            models.CheckConstraint(
                condition=Q(manager__isnull=True) | ~Q(manager=F("id")), name="employees_employee_not_own_manager"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["department", "status"], name="employee_department_status"),
            models.Index(fields=["status", "hire_date"], name="employee_status_hired"),
            models.Index(fields=["hire_date"], name="employee_hired"),
        ]

    def __str__(self) -> str:
        return f"employee {self.employee_id}"

    @property
    def full_name(self) -> str:
        return self.user.full_name

    @property
    def is_active(self) -> bool:
        """Whether the person works here today and may use the systems; leave is no end, but not work either."""
        return self.status == self.Status.ACTIVE

    @property
    def has_ended(self) -> bool:
        return self.status in self.ENDED

    @property
    def years_of_service(self) -> int:
        return self.years_served(until=Clinic.today())

    def years_served(self, *, until: date) -> int:
        """Return the whole years from the first day of work to `until` or, if that is earlier, to the last one."""
        last = min(until, self.termination_date or until)
        years = last.year - self.hire_date.year
        return max(0, years - ((last.month, last.day) < (self.hire_date.month, self.hire_date.day)))

    def clean(self) -> None:
        super().clean()
        if self.user_id and not self.user.is_staff_member:
            raise ValidationError({"user": "A patient's login cannot belong to an employee."})
        if self.manager_id and self._would_report_to_itself():
            raise ValidationError({"manager": "These two would report to each other; choose another manager."})

    def _would_report_to_itself(self) -> bool:
        seen, above = {self.pk}, self.manager_id
        while above is not None and above not in seen:
            seen.add(above)
            above = Employee._base_manager.filter(pk=above).values_list("manager_id", flat=True).first()
        return above is not None

    @staticmethod
    def lock_reporting_lines() -> None:
        """Let one transaction at a time change who reports to whom: two edits that are right alone can form a ring.

        It does not wait: the caller holds a row that the other transaction may need for its foreign key.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [REPORTING_LINES_LOCK])
            if not cursor.fetchone()[0]:
                raise Conflict("Someone else is changing who reports to whom; try again in a moment.")

    def terminate(self, on: date | None = None, reason: str = "", *, by: Any = None) -> None:
        """End the employment on day `on` (today when left out) and close the person's access at once.

        A second call changes nothing but closes an access that was opened again.
        """
        self.end(self.Status.TERMINATED, on=on, reason=reason, by=by)

    @transaction.atomic
    def end(self, how: str, *, on: date | None, reason: str, by: Any) -> None:
        """Move to the end `how` (terminated, retired) with its day, and close the login and its sessions."""
        type(self)._base_manager.select_for_update(no_key=True).get(pk=self.pk)
        self.refresh_from_db(fields=["status", "termination_date", "termination_reason"])
        if self.status != how:
            last_day = on or Clinic.today()
            if not self.hire_date <= last_day <= Clinic.today():
                raise DomainError("The last day of work lies between the first one and today.")
            self.move_to(how, termination_date=last_day, termination_reason=reason)
        users.deactivate(self.user, by=by, reason="employment ended")

    def add_pto(self, days: Decimal) -> None:
        """Add `days` (or take them, when negative) in one conditional UPDATE; refuse to go below zero."""
        changed = Employee._base_manager.filter(pk=self.pk, pto_balance__gte=-days).update(
            pto_balance=F("pto_balance") + days, updated_at=timezone.now()
        )
        if not changed:
            raise DomainError("The balance of paid days is too short for this request.")
        self.refresh_from_db(fields=["pto_balance", "updated_at"])


# Annotate departments with this as `employees_now`, and their `employee_count` asks no further.
EMPLOYEES_NOW = Count("employees", filter=~Q(employees__status__in=Employee.ENDED) & Q(employees__is_deleted=False))
