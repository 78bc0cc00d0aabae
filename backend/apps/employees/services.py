"""What HR does across rows: hire, let go, grant time off, review; without it each screen would have its own rules."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction

from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.employees import balances
from backend.apps.employees.models import Employee, EmployeePerformanceReview, EmployeeTimeOff
from backend.apps.users import services as users
from backend.apps.users.models import User


def is_hr(by: Any) -> bool:
    """Return whether `by` may act on everybody's file: the administrator, or a machine."""
    return by is None or by.role == Role.ADMIN


def is_self(by: User | None, employee: Employee) -> bool:
    return by is not None and employee.user_id == by.pk


def heads_department_of(by: User | None, employee: Employee) -> bool:
    head = employee.department.head if employee.department else None
    return by is not None and head is not None and head.user_id == by.pk


@transaction.atomic
def hire(*, by: User | None, **fields: Any) -> Employee:
    if fields.get("manager"):
        Employee.lock_reporting_lines()
    employee = Employee(**fields)
    employee.full_clean()
    employee.save()
    return employee


@transaction.atomic
def change(employee: Employee, *, by: User | None, **changes: Any) -> Employee:
    """Change plain facts of a file; status has verbs of its own. A balance that is set gets an entry that says so."""
    if changes.get("user", employee.user) != employee.user:
        raise DomainError("A file stays with its person; hire the other person instead.")
    if changes.get("manager"):
        Employee.lock_reporting_lines()
    if changes.get("employment_type", employee.employment_type) != employee.employment_type:
        balances.end_kind(employee)
    if "pto_balance" in changes:
        balances.set_balance(employee, changes.pop("pto_balance"), by=by)
    return save_changes(employee, changes)


@transaction.atomic
def start_leave(employee: Employee, *, by: User | None) -> Employee:
    employee.move_to(Employee.Status.ON_LEAVE)
    return employee


@transaction.atomic
def suspend(employee: Employee, *, by: User | None) -> Employee:
    """Suspend, and close the person's access until it is opened again by hand."""
    employee.move_to(Employee.Status.SUSPENDED)
    users.deactivate(employee.user, by=by, reason="suspended")
    return employee


@transaction.atomic
def reinstate(employee: Employee, *, by: User | None) -> Employee:
    """End a leave or a suspension. A closed login stays closed until the administrator opens it."""
    employee.move_to(Employee.Status.ACTIVE)
    return employee


@transaction.atomic
def retire(employee: Employee, *, by: User | None, on: date | None = None) -> Employee:
    employee.end(Employee.Status.RETIRED, on=on, reason="", by=by)
    return employee


@transaction.atomic
def terminate(employee: Employee, *, by: User | None, on: date | None = None, reason: str = "") -> Employee:
    employee.terminate(on, reason, by=by)
    return employee


@transaction.atomic
def request_time_off(*, by: User | None, employee: Employee | None = None, **fields: Any) -> EmployeeTimeOff:
    """Ask for time off: for oneself, or for anybody when HR writes it down."""
    employee = employee or _own_file(by)
    if not (is_hr(by) or is_self(by, employee)):
        raise PermissionDenied
    if employee.has_ended:
        raise DomainError("This person no longer works here.")
    time_off = EmployeeTimeOff(employee=employee, **fields)
    time_off.full_clean()
    time_off.save()
    return time_off


@transaction.atomic
def change_time_off(time_off: EmployeeTimeOff, *, by: User | None, **changes: Any) -> EmployeeTimeOff:
    """Change a request that nobody has decided on yet; the days are counted again unless they are given."""
    time_off.refresh_from_db(from_queryset=EmployeeTimeOff._base_manager.select_for_update(no_key=True))
    if not (is_hr(by) or is_self(by, time_off.employee)):
        raise PermissionDenied
    if time_off.status != EmployeeTimeOff.Status.PENDING:
        raise DomainError("This request is decided; cancel it and ask again.")
    if changes.get("employee", time_off.employee) != time_off.employee:
        raise DomainError("A request stays with its person.")
    if {"start_date", "end_date"} & set(changes):
        changes = {"days_requested": None, **changes}
    return save_changes(time_off, changes)


@transaction.atomic
def approve(time_off: EmployeeTimeOff, *, by: User) -> EmployeeTimeOff:
    _refuse_outsider(time_off, by)
    time_off.approve(by)
    return time_off


@transaction.atomic
def deny(time_off: EmployeeTimeOff, *, by: User, reason: str) -> EmployeeTimeOff:
    _refuse_outsider(time_off, by)
    time_off.deny(by, reason)
    return time_off


@transaction.atomic
def cancel(time_off: EmployeeTimeOff, *, by: User | None) -> EmployeeTimeOff:
    """Cancel a request. Days that are already being taken come back only by the head's or HR's hand."""
    decides = is_hr(by) or (heads_department_of(by, time_off.employee) and not is_self(by, time_off.employee))
    if not decides and not is_self(by, time_off.employee):
        raise PermissionDenied
    begun = time_off.status == EmployeeTimeOff.Status.APPROVED and time_off.has_begun(Clinic.today())
    if begun and not decides:
        raise DomainError("This time off has begun; ask the head of your department.")
    time_off.cancel(by)
    return time_off


@transaction.atomic
def write_review(
    *, by: User | None, employee: Employee, reviewer: Employee | None = None, **fields: Any
) -> EmployeePerformanceReview:
    """Write a review: the head about their own department and in their own name, HR about anybody."""
    if not is_hr(by):
        if not heads_department_of(by, employee):
            raise PermissionDenied
        if reviewer is not None and not is_self(by, reviewer):
            raise DomainError("A review is written in the reviewer's own name.")
    review = EmployeePerformanceReview(employee=employee, reviewer=reviewer or _own_file(by), **fields)
    review.full_clean()
    review.save()
    review.note_on_file()
    return review


@transaction.atomic
def change_review(review: EmployeePerformanceReview, *, by: User | None, **changes: Any) -> EmployeePerformanceReview:
    if not (is_hr(by) or is_self(by, review.reviewer)):
        raise PermissionDenied
    if review.employee_acknowledged:
        raise DomainError("This review is acknowledged and stays as it is; write a new one.")
    if any(changes.get(name, getattr(review, name)) != getattr(review, name) for name in ("employee", "reviewer")):
        raise DomainError("A review stays with its person and its reviewer.")
    save_changes(review, changes)
    review.note_on_file()
    return review


@transaction.atomic
def acknowledge(review: EmployeePerformanceReview, *, by: User, comments: str = "") -> EmployeePerformanceReview:
    _refuse_others(review, by)
    review.acknowledge()
    return comment(review, by=by, comments=comments) if comments else review


@transaction.atomic
def comment(review: EmployeePerformanceReview, *, by: User, comments: str) -> EmployeePerformanceReview:
    """Keep what the person reviewed says about the review, before or after they acknowledge it."""
    _refuse_others(review, by)
    review.employee_comments = comments
    review.save(update_fields=["employee_comments", "updated_at"])
    return review


def _own_file(by: User | None) -> Employee:
    file = Employee.objects.filter(user=by).first() if by is not None else None
    if file is None:
        raise DomainError("Say which employee this is about or by; this login has no file of its own.")
    return file


def _refuse_outsider(time_off: EmployeeTimeOff, by: User | None) -> None:
    own = is_self(by, time_off.employee)  # the model refuses with its own words
    if not (own or is_hr(by) or heads_department_of(by, time_off.employee)):
        raise PermissionDenied


def _refuse_others(review: EmployeePerformanceReview, by: User | None) -> None:
    if not is_self(by, review.employee):
        raise DomainError("Only the person reviewed can do this.")
