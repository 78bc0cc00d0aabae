"""Proves that each department is told once how many of its reviews are due, and that its head finds whose they are."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import time_machine

from backend.apps.core import alerts
from backend.apps.core.models import Alert
from backend.apps.employees import reviews_due
from backend.apps.employees.models import Employee
from backend.apps.employees.tests.factories import make_department, make_employee, make_head, make_review
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({"last_review_date": date(2025, 11, 26)}, True),
        ({"last_review_date": date(2025, 11, 27)}, False),
        ({"last_review_date": date(2025, 11, 26), "status": "on_leave"}, False),
        ({"last_review_date": date(2020, 1, 1), "status": "retired", "termination_date": TODAY}, False),
        ({"hire_date": date(2026, 8, 26)}, True),
        ({"hire_date": date(2026, 8, 27)}, False),
        ({"hire_date": date(2026, 8, 1), "last_review_date": date(2026, 8, 20)}, False),
    ],
)
def test_a_review_is_due_a_year_after_the_last_and_three_months_after_the_first_day(
    fields: dict[str, Any], due: bool
) -> None:
    employee = make_employee(**fields)
    assert Employee.objects.filter(reviews_due.is_due(TODAY), pk=employee.pk).exists() is due


def test_a_month_without_such_a_day_counts_to_its_end() -> None:
    make_employee(hire_date=date(2026, 2, 28))
    assert Employee.objects.filter(reviews_due.is_due(date(2026, 5, 30))).count() == 1
    assert reviews_due.watch(date(2026, 5, 27)) == (0, 0)


def test_each_department_is_one_alert_with_a_count_that_goes_when_the_last_is_written() -> None:
    ward = make_department()
    due = [make_employee(department=ward) for _ in range(2)]
    make_employee(department=make_department(), last_review_date=TODAY)
    assert reviews_due.watch(TODAY) == reviews_due.watch(TODAY + timedelta(days=30)) == (1, 0)
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject_id, alert.times) == ("staff_reviews_due", str(ward.pk), 1)
    assert alert.sentence == f"Performance reviews due in the department {ward.code}: 2."
    Employee.objects.filter(pk=due[0].pk).update(last_review_date=TODAY)
    reviews_due.watch(TODAY)
    alert.refresh_from_db()
    assert alert.sentence.endswith(": 1.")
    Employee.objects.filter(pk=due[1].pk).update(last_review_date=TODAY)
    assert reviews_due.watch(TODAY) == (0, 1)


def test_people_without_a_department_are_told_of_too() -> None:
    make_employee()
    assert reviews_due.watch(TODAY) == (1, 0)
    assert Alert.objects.get().sentence == "Performance reviews due of people without a department: 1."


@time_machine.travel("2026-11-26T15:00Z", tick=False)
def test_what_a_person_dismissed_is_told_again_with_the_next_review_only() -> None:
    ward = make_department()
    make_employee(department=ward)
    reviews_due.watch()
    alerts.resolve(Alert.objects.get(), by=make_user("admin"))
    assert reviews_due.watch() == (0, 0)
    make_employee(department=ward, last_review_date=date(2025, 11, 27))
    assert reviews_due.watch(date(2026, 11, 27)) == (1, 0)
    assert Alert.objects.latest("last_seen_at").sentence.endswith(": 2.")


@time_machine.travel("2026-11-26T15:00Z", tick=False)
def test_the_head_lists_whose_review_is_due() -> None:
    ward = make_department()
    head, due = make_head(ward, last_review_date=TODAY), make_employee(department=ward)
    make_review(employee=make_employee(department=ward, last_review_date=TODAY), reviewer=head)
    make_employee(department=make_department())
    api = client_for(head.user)
    found = {flag: api.get("/api/v1/employees/", {"review_due": flag}).data["results"] for flag in ("true", "false")}
    assert [row["id"] for row in found["true"]] == [str(due.pk)]
    assert len(found["false"]) == 2
