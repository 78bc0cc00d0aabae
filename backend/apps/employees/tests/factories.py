"""Makes departments, employees, time off and reviews for tests; without it every test would hire by hand."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.core.files.base import ContentFile

from backend.apps.core.models import Clinic
from backend.apps.employees.models import (
    Department,
    Employee,
    EmployeeCredential,
    EmployeePerformanceReview,
    EmployeeTimeOff,
)
from backend.apps.users.tests.factories import make_user

PDF = b"%PDF-1.7 a short document"


def make_department(**over: Any) -> Department:
    return Department.objects.create(**{"name": "Front desk", "code": f"D{uuid.uuid4().hex[:8]}", **over})


def make_employee(role: str = "nurse", **over: Any) -> Employee:
    """Save somebody who works here since 2020, with a login of `role` unless `user` is given."""
    over.setdefault("user", None)
    user = over.pop("user") or make_user(role=role)
    fields = {"position": "Nurse", "hire_date": date(2020, 3, 2), "pto_balance": Decimal(20), "salary": Decimal(70000)}
    return Employee.objects.create(user=user, **{**fields, **over})


def make_head(department: Department, **over: Any) -> Employee:
    """Save the head of `department`, who works in it."""
    head = make_employee(department=department, **over)
    department.head = head
    department.save()
    return head


def next_monday() -> date:
    today = Clinic.today()
    return today + timedelta(days=7 - today.weekday())


def make_time_off(**over: Any) -> EmployeeTimeOff:
    """Save a pending request for the next whole week, Monday to Friday."""
    over.setdefault("employee", None)
    employee = over.pop("employee") or make_employee()
    monday = next_monday()
    fields = {"time_off_type": "vacation", "start_date": monday, "end_date": monday + timedelta(days=4)}
    return EmployeeTimeOff.objects.create(employee=employee, **{**fields, **over})


def make_review(**over: Any) -> EmployeePerformanceReview:
    over.setdefault("employee", None)
    over.setdefault("reviewer", None)
    fields = {
        **over,
        "employee": over["employee"] or make_employee(),
        "reviewer": over["reviewer"] or make_employee(),
    }
    return EmployeePerformanceReview.objects.create(
        **{
            "review_type": "annual",
            "review_period_start": date(2025, 1, 1),
            "review_period_end": date(2025, 12, 31),
            "review_date": date(2026, 1, 15),
            "overall_rating": 4,
            **fields,
        }
    )


def make_employee_credential(**over: Any) -> EmployeeCredential:
    """Save a course in life support of a nurse that ends in more than a year and nobody has looked at."""
    over.setdefault("employee", None)
    employee = over.pop("employee") or make_employee()
    fields = {
        "credential_type": "bls",
        "issuing_organization": "Heart association",
        "number": uuid.uuid4().hex[:10],
        "issue_date": date(2020, 1, 1),
        "expiry_date": Clinic.today() + timedelta(days=400),
    }
    return EmployeeCredential.objects.create(employee=employee, **{**fields, **over})


def a_file(content: bytes = PDF, name: str = "curriculum of somebody.pdf") -> ContentFile:
    return ContentFile(content, name=name)
