"""Makes policies and entries of paid days for tests; without it each test would spell out a whole policy."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from backend.apps.employees.models import Employee, PtoEntry, TimeOffPolicy

_days = itertools.count()


def make_time_off_policy(**over: Any) -> TimeOffPolicy:
    """Save a policy of full time: two days a month, 30 at most, ten carried over; it begins on a day of its own."""
    fields = {
        "employment_type": "full_time",
        "days_a_month": Decimal(2),
        "most_days": Decimal(30),
        "carry_over_days": Decimal(10),
        "begins_on": date(2020, 1, 1) + timedelta(days=next(_days)),
    }
    return TimeOffPolicy.objects.create(**{**fields, **over})


def make_pto_entry(employee: Employee) -> PtoEntry:
    """Save a correction by one day, the balance with it."""
    return PtoEntry.book(employee, PtoEntry.Kind.CORRECTION, Decimal(1), note="Worked on a holiday.")
