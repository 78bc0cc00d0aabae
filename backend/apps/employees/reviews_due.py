"""Tells heads of departments whose review is due; without it a year without one would be noticed by nobody."""

from __future__ import annotations

import calendar
from collections import Counter
from datetime import date

from django.db.models import Q

from backend.apps.core import alerts
from backend.apps.core.models import Clinic
from backend.apps.employees.models import Department, Employee

KIND = "staff_reviews_due"
NOWHERE = "reviews due:no department"


def is_due(today: date) -> Q:
    """Who works here and had the last review a year ago, or none three months after the first day of work."""
    never = Q(last_review_date__isnull=True, hire_date__lte=_months_before(today, 3))
    return Q(status=Employee.Status.ACTIVE) & (never | Q(last_review_date__lte=_months_before(today, 12)))


def watch(today: date | None = None) -> tuple[int, int]:
    """Tell each department how many of its reviews are due, once; return (told, cleared). Safe to repeat."""
    people = Employee.objects.filter(is_due(today or Clinic.today()))
    due = Counter(people.order_by().values_list("department_id", flat=True))
    departments = Department.all_objects.in_bulk(key for key in due if key)
    causes = {f"reviews due:{key}" if key else NOWHERE: key for key in due}
    alerts.clear(*(gone := alerts.open_causes(KIND) - causes.keys()))
    for cause, key in causes.items():
        where = f"in the department {departments[key].code}" if key else "of people without a department"
        sentence = f"Performance reviews due {where}: {due[key]}."
        alerts.open_once(cause, kind=KIND, subject=departments.get(key), sentence=sentence)
    return len(causes), len(gone)


def _months_before(day: date, months: int) -> date:
    """Return the same day `months` earlier, or the last of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
