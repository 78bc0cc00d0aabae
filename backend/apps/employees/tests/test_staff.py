"""Proves who works here: managers never in a ring, an end that closes access, files and dates that make sense."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from backend.apps.core.exceptions import DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.employees import services
from backend.apps.employees.models import Department, Employee
from backend.apps.employees.tests.factories import a_file, make_department, make_employee
from backend.apps.users import services as users
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


def chain(length: int) -> list[Employee]:
    """Return employees of whom each reports to the one before."""
    people = [make_employee()]
    for _ in range(length - 1):
        people.append(make_employee(manager=people[-1]))
    return people


def refused_by_the_database(do) -> str:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        do()
    return str(refusal.value)


def test_employee_numbers_come_from_a_sequence_and_never_repeat() -> None:
    numbers = [make_employee().employee_id for _ in range(3)]
    assert len(set(numbers)) == 3
    assert all(number[0] == "E" and number[1:].isdigit() for number in numbers)
    assert int(numbers[2][1:]) > int(numbers[0][1:])


def test_employees_inserted_in_bulk_get_numbers_too() -> None:
    users_ = [make_user(role="nurse") for _ in range(3)]
    Employee.objects.bulk_create(Employee(user=user, position="Nurse", hire_date=date(2024, 1, 1)) for user in users_)
    assert Employee.objects.filter(user__in=users_, employee_id__startswith="E").count() == 3


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_a_ring_of_managers_is_refused_in_words(length: int) -> None:
    people = chain(length)
    with pytest.raises(ValidationError) as refusal:
        services.change(people[0], by=None, manager=people[-1])
    assert "manager" in refusal.value.message_dict
    assert Employee.objects.get(pk=people[0].pk).manager_id is None


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_a_ring_of_managers_is_refused_by_the_database(length: int) -> None:
    people = chain(length)
    rows = Employee.objects.filter(pk=people[0].pk)
    refusal = refused_by_the_database(lambda: rows.update(manager=people[-1]))
    assert ("not_own_manager" if length == 1 else "report to themselves") in refusal


def test_a_ring_inserted_in_one_statement_is_refused_by_the_database() -> None:
    first, second = (Employee(user=make_user("nurse"), position="Nurse", hire_date=date(2024, 1, 1)) for _ in "ab")
    first.manager_id, second.manager_id = second.pk, first.pk
    refused_by_the_database(lambda: Employee.objects.bulk_create([first, second]))


def test_a_manager_may_change_within_a_tree() -> None:
    people = chain(4)
    services.change(people[3], by=None, manager=people[0])
    assert set(people[0].reports.all()) == {people[1], people[3]}


def test_a_login_of_a_patient_cannot_be_an_employee() -> None:
    with pytest.raises(ValidationError, match="patient's login"):
        services.hire(by=None, user=make_user("patient"), position="Nurse", hire_date=date(2024, 1, 1))


def test_a_file_stays_with_its_person() -> None:
    with pytest.raises(DomainError, match="stays with its person"):
        services.change(make_employee(), by=None, user=make_user("nurse"))


@pytest.mark.parametrize(
    ("hired", "until", "ended", "years"),
    [
        (date(2020, 2, 29), date(2021, 2, 28), None, 0),
        (date(2020, 2, 29), date(2021, 3, 1), None, 1),
        (date(2020, 6, 15), date(2026, 6, 14), None, 5),
        (date(2020, 6, 15), date(2026, 6, 15), None, 6),
        (date(2020, 6, 15), date(2026, 6, 15), date(2022, 6, 14), 1),
        (date(2027, 1, 1), date(2026, 6, 15), None, 0),
    ],
)
def test_years_of_service_are_whole_and_stop_with_the_employment(
    hired: date, until: date, ended: date | None, years: int
) -> None:
    assert Employee(hire_date=hired, termination_date=ended).years_served(until=until) == years


def test_full_name_and_years_of_service_of_a_saved_employee() -> None:
    today = Clinic.today()
    employee = make_employee(hire_date=today.replace(year=today.year - 3, day=1))
    assert employee.full_name == "Robin Example"
    assert employee.years_of_service == 3
    assert employee.is_active


def test_termination_closes_the_login_and_its_sessions_at_once() -> None:
    employee = make_employee()
    users.open_session(employee.user)
    employee.terminate(reason="moved away", by=make_user("admin"))
    stored, login = Employee.objects.get(pk=employee.pk), User.objects.get(pk=employee.user_id)
    assert (stored.status, stored.termination_date, stored.termination_reason) == (
        "terminated", Clinic.today(), "moved away",
    )  # fmt: skip
    assert not stored.is_active
    assert not login.is_active
    assert login.login_sessions.filter(revoked_at__isnull=True).count() == 0
    assert login.login_sessions.count() == 1


def test_termination_twice_keeps_the_first_day_and_closes_a_login_opened_meanwhile() -> None:
    employee, yesterday = make_employee(), Clinic.today() - timedelta(days=1)
    employee.terminate(yesterday, "first")
    users.reactivate(employee.user, by=None)
    Employee.objects.get(pk=employee.pk).terminate(None, "second")
    stored = Employee.objects.get(pk=employee.pk)
    assert (stored.termination_date, stored.termination_reason) == (yesterday, "first")
    assert not User.objects.get(pk=employee.user_id).is_active


@pytest.mark.parametrize("offset", [1, -100_00])
def test_the_last_day_lies_between_the_first_and_today(offset: int) -> None:
    employee = make_employee()
    with pytest.raises(DomainError, match="last day"):
        employee.terminate(Clinic.today() + timedelta(days=offset))
    assert User.objects.get(pk=employee.user_id).is_active


def test_nobody_terminates_themselves() -> None:
    employee = make_employee(role="admin")
    make_user("admin")
    with pytest.raises(DomainError):
        services.terminate(employee, by=employee.user)
    assert Employee.objects.get(pk=employee.pk).is_active


STEPS = {"on_leave": services.start_leave, "suspended": services.suspend, "active": services.reinstate}
ENDS = {"terminated": services.terminate, "retired": services.retire}


def in_status(status: str) -> Employee:
    employee = make_employee()
    if status != "active":
        {**STEPS, **ENDS}[status](employee, by=None)
    return employee


@pytest.mark.parametrize("old", Employee.Status.values)
@pytest.mark.parametrize("new", Employee.Status.values)
def test_status_moves_along_the_table_and_nowhere_else(old: str, new: str) -> None:
    employee = in_status(old)
    verb = {**STEPS, **ENDS}[new]
    if new in Employee.TRANSITIONS[old] or (old == new and new in ENDS):
        verb(employee, by=None)
        assert Employee.objects.get(pk=employee.pk).status == new
    else:
        with pytest.raises(IllegalTransition):
            verb(employee, by=None)
        assert Employee.objects.get(pk=employee.pk).status == old


@pytest.mark.parametrize(("status", "open_login"), [("on_leave", True), ("suspended", False), ("retired", False)])
def test_who_is_suspended_or_retired_cannot_sign_in(status: str, open_login: bool) -> None:
    assert User.objects.get(pk=in_status(status).user_id).is_active is open_login


@pytest.mark.parametrize(
    "broken",
    [
        {"employment_type": "slave"},
        {"pay_frequency": "never"},
        {"status": "asleep"},
        {"status": "terminated"},
        {"termination_date": date(2026, 1, 1)},
        {"status": "terminated", "termination_date": date(2019, 1, 1)},
        {"salary": Decimal(-1)},
        {"pto_balance": Decimal("-0.5")},
        {"performance_rating": Decimal("5.1")},
        {"performance_rating": Decimal("0.9")},
        {"last_promotion_date": date(2019, 1, 1)},
        {"is_deleted": True},
    ],
)
def test_the_database_refuses_a_file_that_makes_no_sense(broken: dict) -> None:
    row = Employee(user=make_user("nurse"), **{"position": "Nurse", "hire_date": date(2020, 1, 1), **broken})
    refused_by_the_database(lambda: Employee.objects.bulk_create([row]))


def test_one_login_is_one_employee() -> None:
    employee = make_employee()
    refused_by_the_database(lambda: make_employee(user=employee.user))


def test_departments_count_who_works_there_now() -> None:
    department = make_department()
    for _ in range(2):
        make_employee(department=department)
    make_employee(department=department).terminate()
    assert department.employee_count == 2
    assert Department.objects.get(pk=department.pk).employee_count == 2


def test_a_department_with_people_is_not_deleted() -> None:
    department = make_department()
    employee = make_employee(department=department)
    with pytest.raises(DomainError, match="still work"):
        department.delete()
    employee.terminate()
    department.delete()
    assert not Department.objects.filter(pk=department.pk).exists()


def test_a_head_still_works_here() -> None:
    gone = make_employee()
    gone.terminate()
    with pytest.raises(ValidationError, match="no longer works"):
        Department(name="Lab", code="LAB", head=gone).full_clean()


@pytest.mark.parametrize("broken", [{"code": ""}, {"annual_budget": Decimal(-1)}])
def test_the_database_refuses_a_department_that_makes_no_sense(broken: dict) -> None:
    refused_by_the_database(lambda: make_department(**broken))


def test_department_codes_are_unique() -> None:
    refused_by_the_database(lambda: [make_department(code="X") for _ in "ab"])


def test_an_uploaded_file_is_kept_under_a_name_that_tells_nothing(settings, tmp_path) -> None:
    settings.MEDIA_ROOT = tmp_path
    employee = services.change(make_employee(), by=None, resume=a_file())
    assert employee.resume.name.startswith("employees/resumes/")
    assert "curriculum" not in employee.resume.name
    assert employee.resume.name.endswith(".pdf")
    services.change(employee, by=None, position="Head nurse")  # a stored file is not checked again


@pytest.mark.parametrize("content", [b"MZ program", b"", b"<html>%PDF-"])
def test_a_file_of_another_kind_is_refused_whatever_its_name(content: bytes) -> None:
    with pytest.raises(ValidationError) as refusal:
        services.change(make_employee(), by=None, contract=a_file(content))
    assert "contract" in refusal.value.message_dict


def test_a_change_of_plain_facts_does_not_overwrite_a_balance_moved_meanwhile() -> None:
    employee = make_employee(pto_balance=Decimal(10))
    Employee.objects.get(pk=employee.pk).add_pto(Decimal(-4))
    services.change(employee, by=None, position="Head nurse")
    assert Employee.objects.get(pk=employee.pk).pto_balance == Decimal(6)


def test_the_number_of_the_lock_is_the_one_in_the_trigger() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'employees_refuse_ring'")
        assert "pg_advisory_xact_lock(7301001)" in cursor.fetchone()[0]
    Employee.lock_reporting_lines()
    with connection.cursor() as cursor:
        cursor.execute("SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchall() == [(7301001,)]
