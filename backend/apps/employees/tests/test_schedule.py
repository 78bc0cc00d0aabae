"""Proves how working days are counted and which schedules are accepted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError

from backend.apps.employees.schedule import WEEKDAYS, validate_work_schedule, working_days

DAY = [["08:00", "17:00"]]
MONDAY = date(2026, 11, 2)


@pytest.mark.parametrize(
    ("schedule", "length", "days"),
    [
        ({}, 1, 1),
        ({}, 5, 5),
        ({}, 7, 5),
        ({}, 14, 10),
        ({"sat": DAY, "sun": DAY}, 7, 2),
        ({"sat": DAY, "mon": []}, 13, 2),
        (dict.fromkeys(WEEKDAYS, DAY), 10, 10),
    ],
)
def test_working_days_follow_the_schedule(schedule: dict, length: int, days: int) -> None:
    assert working_days(schedule, MONDAY, MONDAY + timedelta(days=length - 1)) == days


def test_counting_by_weeks_is_counting_day_by_day() -> None:
    for start in range(7):
        for length in range(30):
            first = MONDAY + timedelta(days=start)
            one_by_one = sum((first + timedelta(days=n)).weekday() < 5 for n in range(length))
            assert working_days({}, first, first + timedelta(days=length - 1)) == one_by_one


@pytest.mark.parametrize("good", [{}, {"mon": DAY}, {"tue": [["08:00", "12:00"], ["13:00", "17:30"]]}, {"wed": []}])
def test_a_schedule_of_shifts_is_accepted(good: dict) -> None:
    validate_work_schedule(good)


@pytest.mark.parametrize(
    "bad",
    [
        [],
        "mon",
        {"monday": DAY},
        {"mon": "08:00"},
        {"mon": [["08:00"]]},
        {"mon": [["8:00", "17:00"]]},
        {"mon": [["08:00", "24:00"]]},
        {"mon": [["17:00", "08:00"]]},
        {"mon": [["08:00", "12:00"], ["11:00", "17:00"]]},
        {"mon": [[8, 17]]},
        {"mon": [["08:00", "09:00"]] * 5},
        {"mon": None},
    ],
)
def test_anything_else_is_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        validate_work_schedule(bad)
