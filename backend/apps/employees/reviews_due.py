"""Tells heads of departments whose review is due; without it a year without one would be noticed by nobody."""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from django.db.models import Q

from backend.apps.core import alerts
from backend.apps.core.models import Clinic
from backend.apps.employees.models import Employee

KIND = "staff_reviews_due"
EACH, FIRST = 12, 3  # months: after the last review, and after the first day of work


def is_due(today: date) -> Q:
    """Who works here and had the last review a year ago, or none three months after the first day of work."""
    never = Q(last_review_date__isnull=True, hire_date__lte=_months_from(today, -FIRST))
    return Q(status=Employee.Status.ACTIVE) & (never | Q(last_review_date__lte=_months_from(today, -EACH)))


def watch(today: date | None = None) -> tuple[int, int]:
    """Tell each department how many of its reviews are due, once; return (told, cleared). Safe to repeat.

    What a person dismissed is told again when another review has become due.
    """
    people = defaultdict[Any, list[Employee]](list)
    for person in Employee.objects.filter(is_due(today or Clinic.today())).select_related("department"):
        people[person.department].append(person)
    causes = {f"reviews due:{where.pk if where else 'no department'}": where for where in people}
    alerts.clear(*(gone := alerts.open_causes(KIND) - causes.keys()))
    dismissed = alerts.all_dismissed({cause: _last_became_due(people[where]) for cause, where in causes.items()})
    for cause in causes.keys() - dismissed:
        where = causes[cause]
        whose = f"in the department {where.code}" if where else "of people without a department"
        sentence = f"Performance reviews due {whose}: {len(people[where])}."
        alerts.open_once(cause, kind=KIND, subject=where, sentence=sentence)
    return len(causes.keys() - dismissed), len(gone)


def _last_became_due(people: Iterable[Employee]) -> datetime:
    """Return when the last of these reviews became due, as the beginning of that day."""
    days = [
        _months_from(one.last_review_date, EACH) if one.last_review_date else _months_from(one.hire_date, FIRST)
        for one in people
    ]
    return datetime.combine(max(days), time(), Clinic.current().zone)


def _months_from(day: date, months: int) -> date:
    """Return the same day so many months later, or earlier; the last of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
