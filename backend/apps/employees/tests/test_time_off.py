"""Proves that time off never overlaps, is counted in working days, and moves the balance once."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction

from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.employees import services
from backend.apps.employees.models import Employee, EmployeeTimeOff
from backend.apps.employees.tests.factories import (
    make_department,
    make_employee,
    make_head,
    make_time_off,
    next_monday,
)
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
Status = EmployeeTimeOff.Status


def balance(employee: Employee) -> Decimal:
    return Employee.objects.get(pk=employee.pk).pto_balance


def status_of(time_off: EmployeeTimeOff) -> str:
    return EmployeeTimeOff.objects.get(pk=time_off.pk).status


def test_the_days_are_the_working_days_of_the_range_unless_they_are_given() -> None:
    monday = next_monday()
    whole_fortnight = {"start_date": monday, "end_date": monday + timedelta(days=13)}
    weekend_nurse = make_employee(work_schedule={"sat": [["08:00", "20:00"]], "sun": [["08:00", "20:00"]]})
    assert make_time_off(**whole_fortnight).days_requested == 10
    assert make_time_off(employee=weekend_nurse, **whole_fortnight).days_requested == 4
    assert make_time_off(days_requested=Decimal("2.5"), **whole_fortnight).days_requested == Decimal("2.5")


def test_a_range_without_a_working_day_is_refused() -> None:
    saturday = next_monday() + timedelta(days=5)
    with pytest.raises(ValidationError, match="more than none"):
        services.request_time_off(
            by=None, employee=make_employee(), time_off_type="vacation", start_date=saturday, end_date=saturday
        )


@pytest.mark.parametrize("kind", EmployeeTimeOff.TimeOffType.values)
def test_only_vacation_and_personal_days_leave_the_balance(kind: str) -> None:
    time_off = make_time_off(time_off_type=kind)
    time_off.approve(make_user("admin"))
    assert balance(time_off.employee) == (15 if kind in {"vacation", "personal"} else 20)


def test_approval_notes_who_and_when() -> None:
    time_off, admin = make_time_off(), make_user("admin")
    time_off.approve(admin)
    stored = EmployeeTimeOff.objects.get(pk=time_off.pk)
    assert (stored.status, stored.approved_by_id) == ("approved", admin.pk)
    assert stored.approved_at is not None


def test_a_balance_that_is_too_short_refuses_the_approval_and_stays() -> None:
    time_off = make_time_off(employee=make_employee(pto_balance=Decimal("4.99")))
    with pytest.raises(DomainError, match="too short"):
        time_off.approve(make_user("admin"))
    assert status_of(time_off) == Status.PENDING
    assert balance(time_off.employee) == Decimal("4.99")


def test_a_balance_that_just_suffices_ends_at_zero() -> None:
    time_off = make_time_off(employee=make_employee(pto_balance=Decimal(5)))
    time_off.approve(make_user("admin"))
    assert balance(time_off.employee) == 0


def test_a_copy_read_before_the_approval_cannot_take_the_days_again() -> None:
    time_off, admin = make_time_off(), make_user("admin")
    stale = EmployeeTimeOff.objects.get(pk=time_off.pk)
    time_off.approve(admin)
    with pytest.raises(Conflict):
        stale.approve(admin)
    assert balance(time_off.employee) == 15


def test_cancelling_an_approved_request_gives_the_days_back_once() -> None:
    time_off = make_time_off()
    time_off.approve(make_user("admin"))
    stale = EmployeeTimeOff.objects.get(pk=time_off.pk)
    time_off.cancel()
    assert balance(time_off.employee) == 20
    with pytest.raises(Conflict):
        stale.cancel()
    with pytest.raises(IllegalTransition):
        time_off.cancel()
    assert balance(time_off.employee) == 20


def test_cancelling_a_pending_request_moves_no_days() -> None:
    time_off = make_time_off()
    time_off.cancel()
    assert balance(time_off.employee) == 20


def test_a_denial_needs_a_reason() -> None:
    time_off, admin = make_time_off(), make_user("admin")
    with pytest.raises(DomainError, match="why"):
        time_off.deny(admin, " ")
    time_off.deny(admin, "Too few nurses that week")
    assert EmployeeTimeOff.objects.get(pk=time_off.pk).denial_reason == "Too few nurses that week"


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_nobody_decides_on_their_own_request(verb: str) -> None:
    time_off = make_time_off(employee=make_employee(role="admin"))
    more = {"reason": "no"} if verb == "deny" else {}
    with pytest.raises(DomainError, match="own request"):
        getattr(services, verb)(time_off, by=time_off.employee.user, **more)
    assert status_of(time_off) == Status.PENDING


def in_status(status: str) -> EmployeeTimeOff:
    time_off, admin = make_time_off(), make_user("admin")
    if status == Status.APPROVED:
        time_off.approve(admin)
    elif status == Status.DENIED:
        time_off.deny(admin, "no")
    elif status == Status.CANCELLED:
        time_off.cancel()
    return time_off


@pytest.mark.parametrize("old", Status.values)
@pytest.mark.parametrize("new", ["approved", "denied", "cancelled"])
def test_status_moves_along_the_table_and_nowhere_else(old: str, new: str) -> None:
    time_off, admin = in_status(old), make_user("admin")
    verbs = {
        "approved": lambda: services.approve(time_off, by=admin),
        "denied": lambda: services.deny(time_off, by=admin, reason="no"),
        "cancelled": lambda: services.cancel(time_off, by=admin),
    }
    if new in EmployeeTimeOff.TRANSITIONS[old]:
        verbs[new]()
        assert status_of(time_off) == new
    else:
        with pytest.raises(IllegalTransition):
            verbs[new]()
        assert status_of(time_off) == old


@pytest.mark.parametrize(
    ("status", "first", "last", "refused"),
    [
        ("pending", 4, 6, True),
        ("approved", 0, 0, True),
        ("approved", -3, 0, True),
        ("approved", 5, 9, False),
        ("approved", -3, -1, False),
        ("denied", 0, 4, False),
        ("cancelled", 0, 4, False),
    ],
)
def test_open_requests_of_one_person_do_not_overlap(status: str, first: int, last: int, refused: bool) -> None:
    held, monday = in_status(status), next_monday()
    fields = {"start_date": monday + timedelta(days=first), "end_date": monday + timedelta(days=last)}
    rest = {"employee": held.employee, "time_off_type": "sick", "days_requested": Decimal(1)}
    if refused:
        with pytest.raises(ValidationError, match="covers some of these days"):
            services.request_time_off(by=None, **rest, **fields)
        with pytest.raises(IntegrityError, match="no_overlap"), transaction.atomic():
            EmployeeTimeOff.objects.bulk_create([EmployeeTimeOff(**rest, **fields)])
    else:
        services.request_time_off(by=None, **rest, **fields)
    make_time_off(**fields, days_requested=Decimal(1))  # another person may


DAY = date(2026, 6, 1)


@pytest.mark.parametrize(
    "broken",
    [
        {"end_date": DAY - timedelta(days=1)},
        {"days_requested": Decimal(0)},
        {"days_requested": None},
        {"time_off_type": "party"},
        {"status": "maybe"},
        {"status": "approved"},
        {"status": "denied"},
    ],
)
def test_the_database_refuses_a_request_that_makes_no_sense(broken: dict[str, Any]) -> None:
    fields = {"time_off_type": "sick", "start_date": DAY, "end_date": DAY, "days_requested": Decimal(1), **broken}
    with pytest.raises(IntegrityError), transaction.atomic():
        EmployeeTimeOff.objects.bulk_create([EmployeeTimeOff(employee=make_employee(), **fields)])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"end_date": date(2020, 6, 1)}, "end_date"),
        ({"days_requested": Decimal(6)}, "days_requested"),
        ({"days_requested": Decimal(-1)}, "days_requested"),
        ({"start_date": date(2019, 1, 1), "end_date": date(2019, 1, 2)}, "start_date"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_words(
    fields: dict[str, Any], field: str, caplog: pytest.LogCaptureFixture
) -> None:
    monday = next_monday()
    usual = {"time_off_type": "sick", "start_date": monday, "end_date": monday + timedelta(days=4)}
    with pytest.raises(ValidationError) as refusal:
        services.request_time_off(by=None, employee=make_employee(), **{**usual, **fields})
    assert field in refusal.value.message_dict
    assert caplog.records == []  # Django logs values when the database cannot answer a check


def test_a_change_of_dates_counts_the_days_again() -> None:
    time_off = make_time_off()
    services.change_time_off(time_off, by=time_off.employee.user, end_date=time_off.start_date)
    assert EmployeeTimeOff.objects.get(pk=time_off.pk).days_requested == 1


def test_a_decided_request_does_not_change() -> None:
    time_off = in_status("approved")
    with pytest.raises(DomainError, match="decided"):
        services.change_time_off(time_off, by=time_off.employee.user, end_date=time_off.start_date)


def test_who_left_neither_asks_nor_is_granted_time_off() -> None:
    time_off = make_time_off()
    time_off.employee.terminate()
    with pytest.raises(DomainError, match="no longer works"):
        time_off.approve(make_user("admin"))
    with pytest.raises(DomainError, match="no longer works"):
        services.request_time_off(by=None, employee=time_off.employee, time_off_type="sick")


def test_only_hr_and_the_head_decide() -> None:
    department = make_department()
    head, other_head = make_head(department), make_head(make_department())
    colleague = make_employee(department=department)
    for outsider in (other_head.user, colleague.user, make_user("nurse")):
        with pytest.raises(PermissionDenied):
            services.approve(make_time_off(employee=make_employee(department=department)), by=outsider)
    mine = make_time_off(employee=colleague)
    services.approve(mine, by=head.user)
    assert status_of(mine) == Status.APPROVED


def started(employee: Employee) -> EmployeeTimeOff:
    today = Clinic.today()
    time_off = make_time_off(employee=employee, start_date=today, end_date=today, days_requested=Decimal(1))
    time_off.approve(make_user("admin"))
    return time_off


def test_days_that_are_being_taken_come_back_only_by_the_heads_hand() -> None:
    department = make_department()
    head, employee = make_head(department), make_employee(department=department)
    time_off = started(employee)
    with pytest.raises(DomainError, match="has begun"):
        services.cancel(time_off, by=employee.user)
    services.cancel(time_off, by=head.user)
    assert balance(employee) == 20
    own = started(head)
    with pytest.raises(DomainError, match="has begun"):
        services.cancel(own, by=head.user)


def test_a_colleague_cannot_cancel_or_ask_for_another() -> None:
    time_off, colleague = make_time_off(), make_employee()
    with pytest.raises(PermissionDenied):
        services.cancel(time_off, by=colleague.user)
    with pytest.raises(PermissionDenied):
        services.request_time_off(by=colleague.user, employee=time_off.employee, time_off_type="sick")
    with pytest.raises(PermissionDenied):
        services.change_time_off(time_off, by=colleague.user, reason="x")
