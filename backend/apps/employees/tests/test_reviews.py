"""Proves that reviews are fair in form, end up on the file, and stay as they were once acknowledged."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction

from backend.apps.core.exceptions import DomainError, IllegalTransition
from backend.apps.employees import services
from backend.apps.employees.models import Employee, EmployeePerformanceReview
from backend.apps.employees.models.reviews import RATINGS
from backend.apps.employees.tests.factories import make_department, make_employee, make_head, make_review
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
FIELDS: dict[str, Any] = {
    "review_type": "annual",
    "review_period_start": date(2025, 1, 1),
    "review_period_end": date(2025, 12, 31),
    "review_date": date(2026, 1, 15),
    "overall_rating": 4,
}


@pytest.mark.parametrize(
    "broken",
    [
        *({name: value} for name in RATINGS for value in (0, 6)),
        {"review_type": "gossip"},
        {"review_period_end": date(2024, 12, 31)},
        {"review_date": date(2024, 12, 31)},
        {"employee_acknowledged": True},
    ],
)
def test_a_review_that_makes_no_sense_is_refused_by_the_database(broken: dict[str, Any]) -> None:
    people = {"employee": make_employee(), "reviewer": make_employee()}
    with pytest.raises(IntegrityError), transaction.atomic():
        EmployeePerformanceReview.objects.bulk_create([EmployeePerformanceReview(**people, **{**FIELDS, **broken})])


def test_nobody_reviews_themselves() -> None:
    head = make_head(make_department())
    with pytest.raises(ValidationError, match="Nobody reviews themselves"):
        services.write_review(by=head.user, employee=head, **FIELDS)
    with pytest.raises(IntegrityError, match="not_by_oneself"), transaction.atomic():
        make_review(employee=head, reviewer=head)


def test_a_head_reviews_the_own_department_in_the_own_name() -> None:
    department = make_department()
    head, employee = make_head(department), make_employee(department=department)
    review = services.write_review(by=head.user, employee=employee, **FIELDS)
    assert review.reviewer == head
    with pytest.raises(DomainError, match="own name"):
        services.write_review(by=head.user, employee=employee, reviewer=make_employee(), **FIELDS)
    with pytest.raises(PermissionDenied):
        services.write_review(by=head.user, employee=make_employee(), **FIELDS)


def test_an_employee_cannot_write_a_review() -> None:
    department = make_department()
    make_head(department)
    colleague = make_employee(department=department)
    with pytest.raises(PermissionDenied):
        services.write_review(by=colleague.user, employee=make_employee(department=department), **FIELDS)


def test_hr_without_a_file_names_the_reviewer() -> None:
    with pytest.raises(DomainError, match="no file"):
        services.write_review(by=make_user("admin"), employee=make_employee(), **FIELDS)


def test_the_newest_review_is_noted_on_the_file_and_an_older_one_is_not() -> None:
    employee, reviewer = make_employee(), make_employee()
    services.write_review(by=None, employee=employee, reviewer=reviewer, **FIELDS)
    older = {**FIELDS, "review_date": date(2025, 6, 1), "overall_rating": 1}
    services.write_review(by=None, employee=employee, reviewer=reviewer, **older)
    stored = Employee.objects.get(pk=employee.pk)
    assert (stored.last_review_date, stored.performance_rating) == (date(2026, 1, 15), 4)


def test_the_file_follows_a_review_that_is_dated_back_or_deleted() -> None:
    employee, reviewer = make_employee(), make_employee()
    first, second = (
        services.write_review(
            by=None, employee=employee, reviewer=reviewer, **{**FIELDS, "review_date": day, "overall_rating": rating}
        )
        for day, rating in ((date(2026, 1, 15), 4), (date(2026, 3, 1), 2))
    )
    told = []
    services.change_review(second, by=None, review_date=date(2025, 12, 1))
    told.append(Employee.objects.values_list("last_review_date", "performance_rating").get(pk=employee.pk))
    for review in (first, second):
        review.delete()
        told.append(Employee.objects.values_list("last_review_date", "performance_rating").get(pk=employee.pk))
    assert told == [(date(2026, 1, 15), 4), (date(2025, 12, 1), 2), (None, None)]


def test_acknowledging_notes_the_moment_once() -> None:
    review = make_review()
    services.acknowledge(review, by=review.employee.user, comments="Thank you")
    stored = EmployeePerformanceReview.objects.get(pk=review.pk)
    assert stored.employee_acknowledged
    assert stored.employee_acknowledged_at is not None
    assert stored.employee_comments == "Thank you"
    with pytest.raises(IllegalTransition):
        services.acknowledge(review, by=review.employee.user)
    assert EmployeePerformanceReview.objects.get(pk=review.pk).employee_acknowledged_at == (
        stored.employee_acknowledged_at
    )


@pytest.mark.parametrize("verb", ["acknowledge", "comment"])
def test_nobody_speaks_for_the_person_reviewed(verb: str) -> None:
    review = make_review()
    for other in (review.reviewer.user, make_user("admin"), None):
        with pytest.raises(DomainError, match="Only the person reviewed"):
            getattr(services, verb)(review, by=other, comments="I agree")
    stored = EmployeePerformanceReview.objects.get(pk=review.pk)
    assert (stored.employee_acknowledged, stored.employee_comments) == (False, "")


def test_after_acknowledgement_only_the_persons_own_comments_change() -> None:
    review = make_review()
    services.acknowledge(review, by=review.employee.user)
    with pytest.raises(DomainError, match="stays as it is"):
        services.change_review(review, by=review.reviewer.user, overall_rating=5)
    with pytest.raises(DomainError, match="is kept"):
        review.delete()
    services.comment(review, by=review.employee.user, comments="On second thoughts")
    assert EmployeePerformanceReview.objects.get(pk=review.pk).employee_comments == "On second thoughts"


@pytest.mark.parametrize(
    "change",
    [{"overall_rating": 5}, {"strengths": "x"}, {"employee_acknowledged": False, "employee_acknowledged_at": None}],
)
def test_the_database_keeps_an_acknowledged_review(change: dict[str, Any]) -> None:
    review = make_review()
    rows = EmployeePerformanceReview.objects.filter(pk=review.pk)
    rows.update(strengths="before")
    review.acknowledge()
    with pytest.raises(IntegrityError, match="does not change"), transaction.atomic():
        rows.update(**change)
    rows.update(employee_comments="mine")


def test_the_reviewer_corrects_a_review_before_it_is_acknowledged() -> None:
    review = make_review()
    services.change_review(review, by=review.reviewer.user, overall_rating=2)
    assert Employee.objects.get(pk=review.employee_id).performance_rating == 2
    with pytest.raises(PermissionDenied):
        services.change_review(review, by=review.employee.user, overall_rating=5)
    with pytest.raises(DomainError, match="stays with"):
        services.change_review(review, by=None, employee=make_employee())


def test_a_period_before_the_first_day_of_work_is_refused() -> None:
    period = {"review_period_start": date(2018, 1, 1), "review_period_end": date(2018, 12, 31)}
    with pytest.raises(ValidationError, match="first day of work"):
        services.write_review(by=None, employee=make_employee(), reviewer=make_employee(), **{**FIELDS, **period})
