"""Which days a person works: time off is counted in these days, not in calendar days."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.core.exceptions import ValidationError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
USUAL = frozenset(WEEKDAYS[:5])
TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
MOST_SHIFTS = 4  # a day


def validate_work_schedule(value: Any) -> None:
    """Accept {"mon": [["08:00", "12:00"], ["13:00", "17:00"]], ...}: shifts of a day in order, without overlap."""
    if not isinstance(value, dict) or set(value) - set(WEEKDAYS):
        raise ValidationError("A schedule names days: mon, tue, wed, thu, fri, sat, sun.", code="schedule")
    for shifts in value.values():
        if not isinstance(shifts, list) or len(shifts) > MOST_SHIFTS or not all(map(_is_shift, shifts)):
            raise ValidationError('A day is a list of shifts such as [["08:00", "17:00"]].', code="schedule")
        times = [moment for shift in shifts for moment in shift]
        if any(earlier >= later for earlier, later in itertools.pairwise(times)):
            raise ValidationError("The shifts of a day follow one another without overlap.", code="schedule")


def _is_shift(shift: Any) -> bool:
    return (
        isinstance(shift, list)
        and len(shift) == 2
        and all(isinstance(moment, str) and TIME.fullmatch(moment) for moment in shift)
    )


def working_days(schedule: Mapping[str, Any], first: date, last: date) -> int:
    """Return how many days from `first` to `last`, both included, are worked; Monday to Friday without a schedule."""
    worked = {name for name, shifts in schedule.items() if shifts} or USUAL
    days = (last - first).days + 1
    weeks, rest = divmod(max(days, 0), 7)
    odd = (first + timedelta(days=n) for n in range(rest))
    return weeks * len(worked) + sum(WEEKDAYS[day.weekday()] in worked for day in odd)
