"""Proves that paid days are earned once a month, on time or late, and that a balance is what its entries add up to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.employees import balances, services
from backend.apps.employees.models import Employee, PtoEntry, TimeOffPolicy
from backend.apps.employees.tests.balance_factories import make_pto_entry, make_time_off_policy
from backend.apps.employees.tests.factories import make_department, make_employee, make_head, make_time_off
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for
from tests.support.races import at_once

pytestmark = pytest.mark.django_db
NOVEMBER, DECEMBER = date(2026, 11, 26), date(2026, 12, 3)
BEGINS = date(2026, 11, 1)


class TestPolicies(ApiContract):
    url, stranger = "/api/v1/time-off-policies/", "patient"

    def make(self) -> TimeOffPolicy:
        return make_time_off_policy()


class TestEntries(ApiContract):
    url, stranger = "/api/v1/pto-entries/", "patient"

    def make(self) -> PtoEntry:
        return make_pto_entry(make_employee())


def sweep(today: date) -> dict[str, int]:
    booked = [balances.catch_up(pk, today) for pk in list(balances.behind(today))]
    return {kind: sum(one[kind] for one in booked) for kind in {kind for one in booked for kind in one}}


def balance(employee: Employee) -> Decimal:
    return Employee.objects.get(pk=employee.pk).pto_balance


def booked(employee: Employee, kind: str = "accrual") -> dict[str, Decimal]:
    rows = PtoEntry.objects.filter(employee=employee, kind=kind).order_by("period")
    return dict(rows.values_list("period", "days"))


def adds_up(employee: Employee) -> bool:
    entries = PtoEntry.objects.filter(employee=employee).values_list("days", flat=True)
    return sum(entries) == balance(employee) and not balances.disagreeing().exists()


def test_a_month_is_booked_once_however_often_the_sweep_runs() -> None:
    make_time_off_policy(begins_on=BEGINS)
    employee = make_employee()
    assert sweep(NOVEMBER) == {"opening": 1, "accrual": 1}
    assert sweep(NOVEMBER) == {}
    assert sweep(DECEMBER) == {"accrual": 1}
    assert booked(employee) == {"2026-11": 2, "2026-12": 2}
    assert booked(employee, "opening") == {"": 20}
    assert balance(employee) == 24
    assert adds_up(employee)


def test_a_sweep_that_comes_months_late_books_each_missed_month_once() -> None:
    make_time_off_policy(begins_on=date(2026, 8, 1))
    since_before, hired = make_employee(), make_employee(hire_date=date(2026, 10, 1), pto_balance=0)
    assert sweep(DECEMBER) == {"opening": 2, "accrual": 8}
    assert list(booked(since_before)) == ["2026-08", "2026-09", "2026-10", "2026-11", "2026-12"]
    assert booked(hired) == {"2026-10": 2, "2026-11": 2, "2026-12": 2}
    assert sweep(DECEMBER) == {}


def test_the_month_of_hire_counts_from_the_first_day_of_work() -> None:
    make_time_off_policy(begins_on=date(2026, 1, 1))
    hired = make_employee(hire_date=date(2026, 11, 16), pto_balance=0)
    later = make_employee(hire_date=date(2026, 11, 27), pto_balance=0)
    sweep(NOVEMBER)
    assert booked(hired) == {"2026-11": 1}
    assert booked(later) == {}
    sweep(DECEMBER)
    assert booked(later) == {"2026-11": Decimal("0.27"), "2026-12": 2}


@pytest.mark.parametrize(
    ("status", "on_leave", "days"),
    [("active", False, 2), ("on_leave", True, 2), ("on_leave", False, 0), ("suspended", True, 0)],
)
def test_days_are_earned_by_who_works_and_on_leave_if_the_policy_says_so(
    status: str, on_leave: bool, days: int
) -> None:
    make_time_off_policy(begins_on=date(2026, 10, 1), accrues_on_leave=on_leave)
    employee = make_employee(status=status)
    sweep(NOVEMBER)
    assert booked(employee)["2026-11"] == days
    assert balance(employee) == 20 + days * len(booked(employee))
    Employee.objects.update(status="active")
    assert sweep(NOVEMBER) == {}  # the month of a suspension is not made up for


def test_who_left_or_has_no_policy_earns_nothing() -> None:
    make_time_off_policy(begins_on=BEGINS, is_active=False)
    make_time_off_policy(begins_on=BEGINS, employment_type="part_time")
    retired = make_employee(status="retired", termination_date=NOVEMBER, employment_type="part_time")
    make_employee()
    assert sweep(NOVEMBER) == {"opening": 1}
    assert balance(retired) == 20


def test_what_is_earned_never_lifts_a_balance_above_the_cap_however_late() -> None:
    make_time_off_policy(begins_on=date(2026, 9, 1), most_days=Decimal("21.50"))
    full, above = make_employee(), make_employee(pto_balance=Decimal(25))
    with time_machine.travel("2026-10-15T15:00Z", tick=False):
        PtoEntry.book(full, "opening", Decimal(20))
        PtoEntry.book(full, "taken", Decimal(-5))
    sweep(NOVEMBER)
    assert booked(full) == {"2026-09": Decimal("1.50"), "2026-10": 0, "2026-11": 2}
    assert set(booked(above).values()) == {Decimal(0)}
    assert balance(above) == 25


@pytest.mark.parametrize("today", [date(2027, 1, 1), date(2027, 2, 20)])
def test_what_is_not_carried_over_is_lost_when_the_year_ends_whenever_the_sweep_runs(today: date) -> None:
    make_time_off_policy(begins_on=BEGINS)
    employee = make_employee(pto_balance=Decimal(15))
    sweep(DECEMBER)
    sweep(today)
    assert booked(employee, "carry_over_cut") == {"2026": -9}
    assert balance(employee) == 10 + 2 * today.month
    assert sweep(today) == {}
    assert adds_up(employee)


def test_days_spent_in_the_new_year_are_not_asked_back_by_a_late_sweep() -> None:
    make_time_off_policy(begins_on=BEGINS)
    employee = make_employee(pto_balance=Decimal(15))
    sweep(DECEMBER)
    with time_machine.travel("2027-01-04T15:00Z", tick=False):
        PtoEntry.book(employee, "taken", Decimal(-18))
    sweep(date(2027, 1, 6))
    assert booked(employee, "carry_over_cut") == {"2026": -1}
    assert balance(employee) == 2


def test_a_policy_counts_until_the_next_begins() -> None:
    make_time_off_policy(begins_on=date(2026, 9, 1))
    make_time_off_policy(begins_on=date(2026, 11, 1), days_a_month=Decimal(3))
    employee = make_employee(pto_balance=0)
    sweep(NOVEMBER)
    assert booked(employee) == {"2026-09": 2, "2026-10": 2, "2026-11": 3}


@time_machine.travel("2026-11-26T15:00Z", tick=False)
def test_who_changes_the_kind_of_employment_earns_by_the_new_policy_from_then_on() -> None:
    make_time_off_policy(begins_on=date(2026, 1, 1))
    trainee = make_employee(employment_type="intern", pto_balance=0)
    services.change(trainee, by=None, employment_type="full_time")
    sweep(NOVEMBER)
    assert booked(trainee) == {"2026-10": 0, "2026-11": 2}


def test_a_sweep_that_dies_in_the_middle_leaves_no_half_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    make_time_off_policy(begins_on=date(2026, 9, 1))
    employee, add = make_employee(), Employee.add_pto
    calls = iter(range(10))

    def dies(self: Employee, days: Decimal) -> None:
        if next(calls) == 2:
            raise RuntimeError
        add(self, days)

    monkeypatch.setattr(Employee, "add_pto", dies)
    with pytest.raises(RuntimeError):
        sweep(NOVEMBER)
    assert (balance(employee), PtoEntry.objects.count()) == (20, 0)
    monkeypatch.undo()
    sweep(NOVEMBER)
    assert balance(employee) == 26


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_book_a_month_once() -> None:
    make_time_off_policy(begins_on=BEGINS)
    employee = make_employee()
    outcomes = at_once(*[lambda: balances.catch_up(employee.pk, NOVEMBER)] * 3)
    assert outcomes == ["done"] * 3
    assert balance(employee) == 22


def test_what_is_taken_returned_and_set_by_hand_is_written_down_with_who_did_it() -> None:
    time_off, admin = make_time_off(), make_user("admin")
    employee = time_off.employee
    services.approve(time_off, by=admin)
    balances.catch_up(employee.pk, NOVEMBER)
    services.cancel(time_off, by=admin)
    services.change(Employee.objects.get(pk=employee.pk), by=admin, pto_balance=Decimal(12), position="Lead")
    rows = PtoEntry.objects.filter(employee=employee).order_by("created_at")
    found = {row.kind: (row.days, row.by, row.time_off) for row in rows}
    assert found == {
        "taken": (-5, admin, time_off),
        "opening": (20, None, None),
        "returned": (5, admin, time_off),
        "correction": (-8, admin, None),
    }
    assert adds_up(employee)
    with pytest.raises(DomainError, match="too short"):
        balances.correct_balance(employee, by=admin, days=Decimal(-13), note="x")


def test_a_balance_that_its_entries_do_not_explain_is_told_once_and_cleared() -> None:
    employee = make_employee()
    sweep(NOVEMBER)
    assert balances.check() == (0, 0)
    Employee.objects.filter(pk=employee.pk).update(pto_balance=30)
    assert balances.check() == balances.check() == (1, 0)
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject_id) == ("staff_time_off_disagrees", str(employee.pk))
    assert employee.full_name not in alert.sentence
    Employee.objects.filter(pk=employee.pk).update(pto_balance=20)
    assert balances.check() == (0, 1)


@pytest.mark.parametrize("days", [Decimal(0), Decimal(-4)])
def test_a_correction_explains_first_what_had_been_changed_without_an_entry(days: Decimal) -> None:
    employee, admin = make_employee(), make_user("admin")
    sweep(NOVEMBER)
    Employee.objects.filter(pk=employee.pk).update(pto_balance=26)
    balances.correct_balance(employee, by=admin, days=days, note="As agreed.")
    rows = PtoEntry.objects.filter(kind="correction").order_by("created_at").values_list("days", "note")
    mine = [(days, "As agreed.")] if days else []
    assert list(rows) == [(6, "The balance had been changed without an entry."), *mine]
    assert balance(employee) == 26 + days
    assert adds_up(employee)


def test_the_holder_and_the_head_read_the_entries_and_only_hr_corrects() -> None:
    ward = make_department()
    head, nurse, other = make_head(ward), make_employee(department=ward), make_employee()
    entry, admin = make_pto_entry(nurse), client_for(make_user("admin"))
    for reader, seen in ((head, 1), (nurse, 1), (other, 0)):
        answer = client_for(reader.user).get("/api/v1/pto-entries/", {"employee": nurse.pk})
        assert [row["id"] for row in answer.data["results"]] == [str(entry.pk)] * seen
    url = f"/api/v1/employees/{nurse.pk}/correct_balance/"
    assert client_for(head.user).post(url, {"days": "1", "note": "Please."}).status_code == 403
    assert admin.post(url, {"days": "1.5"}).status_code == 400
    assert admin.post(url, {"days": "0", "note": "Nothing."}).status_code == 422
    assert admin.post(url, {"days": "-1.5", "note": "Counted twice."}).data["pto_balance"] == "19.50"
    assert balance(nurse) == Decimal("19.50")


@pytest.mark.parametrize("broken", [{"carry_over_days": Decimal(31)}, {"begins_on": date(2026, 11, 1)}])
def test_a_policy_that_makes_no_sense_is_refused(broken: dict[str, Any]) -> None:
    make_time_off_policy(begins_on=BEGINS)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_time_off_policy(**broken)
    row = TimeOffPolicy(employment_type="full_time", days_a_month=2, most_days=30, **{"carry_over_days": 5, **broken})
    with pytest.raises(ValidationError):
        row.full_clean()


@time_machine.travel("2026-12-26T15:00Z", tick=False)
def test_a_policy_begins_next_month_unless_it_says_when() -> None:
    assert make_time_off_policy(begins_on=None).begins_on == date(2027, 1, 1)
