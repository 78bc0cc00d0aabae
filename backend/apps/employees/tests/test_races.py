"""Proves the rules of HR against people who click at the same moment, with real connections."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from backend.apps.employees import services
from backend.apps.employees.models import Employee, EmployeeTimeOff
from backend.apps.employees.tests.factories import make_employee, make_time_off, next_monday
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("_", range(5))
def test_a_request_approved_by_eight_at_once_takes_the_days_once(_: int) -> None:
    time_off, admin = make_time_off(), make_user("admin")
    copies = [EmployeeTimeOff.objects.get(pk=time_off.pk) for _ in range(8)]
    outcomes = at_once(*(lambda copy=copy: services.approve(copy, by=admin) for copy in copies))
    assert sorted(outcomes) == ["Conflict"] * 7 + ["done"]
    assert Employee.objects.get(pk=time_off.employee_id).pto_balance == 15


@pytest.mark.parametrize("_", range(5))
def test_two_requests_approved_at_once_cannot_spend_the_same_days(_: int) -> None:
    employee, admin = make_employee(pto_balance=Decimal(7)), make_user("admin")
    later = next_monday() + timedelta(days=7)
    first = make_time_off(employee=employee)
    second = make_time_off(employee=employee, start_date=later, end_date=later + timedelta(days=4))
    outcomes = at_once(lambda: services.approve(first, by=admin), lambda: services.approve(second, by=admin))
    assert sorted(outcomes) == ["DomainError", "done"]
    assert Employee.objects.get(pk=employee.pk).pto_balance == 2


@pytest.mark.parametrize("_", range(5))
def test_an_approved_request_cancelled_by_eight_at_once_gives_the_days_back_once(_: int) -> None:
    time_off, admin = make_time_off(), make_user("admin")
    time_off.approve(admin)
    copies = [EmployeeTimeOff.objects.get(pk=time_off.pk) for _ in range(8)]
    outcomes = at_once(*(lambda copy=copy: services.cancel(copy, by=admin) for copy in copies))
    assert outcomes.count("done") == 1
    assert Employee.objects.get(pk=time_off.employee_id).pto_balance == 20


@pytest.mark.parametrize("_", range(5))
def test_overlapping_requests_made_at_once_leave_one(_: int) -> None:
    employee, monday = make_employee(), next_monday()

    def ask() -> None:
        services.request_time_off(
            by=None, employee=employee, time_off_type="sick", start_date=monday, end_date=monday + timedelta(days=1)
        )

    assert at_once(*[ask] * 4).count("done") == 1
    assert employee.time_off.count() == 1


def in_a_ring() -> bool:
    managers = dict(Employee.all_objects.values_list("pk", "manager_id"))
    return any(len(_walk(start, managers)) > len(managers) for start in managers)


def _walk(start: object, managers: dict) -> list:
    steps = [start]
    while steps[-1] is not None and len(steps) <= len(managers) + 1:
        steps.append(managers[steps[-1]])
    return [step for step in steps if step is not None]


@pytest.mark.parametrize("_", range(5))
def test_two_edits_that_are_right_alone_cannot_form_a_ring(_: int) -> None:
    one, two = make_employee(), make_employee()
    outcomes = at_once(
        lambda: services.change(one, by=None, manager=two), lambda: services.change(two, by=None, manager=one)
    )
    assert outcomes.count("done") == 1
    assert not in_a_ring()


@pytest.mark.parametrize("_", range(5))
def test_the_trigger_alone_refuses_a_ring_made_at_once(_: int) -> None:
    people = [make_employee() for _ in range(3)]
    pairs = zip(people, [*people[1:], people[0]], strict=True)
    outcomes = at_once(
        *(lambda who=who, boss=boss: Employee.objects.filter(pk=who.pk).update(manager=boss) for who, boss in pairs)
    )
    assert outcomes.count("done") == 2
    assert not in_a_ring()


def test_a_person_terminated_by_many_at_once_is_terminated_once() -> None:
    employee, admin = make_employee(), make_user("admin")
    copies = [Employee.objects.get(pk=employee.pk) for _ in range(4)]
    outcomes = at_once(
        *(lambda copy=copy, n=n: services.terminate(copy, by=admin, reason=str(n)) for n, copy in enumerate(copies))
    )
    assert outcomes == ["done"] * 4
    assert Employee.objects.get(pk=employee.pk).status == "terminated"
    assert not User.objects.get(pk=employee.user_id).is_active
