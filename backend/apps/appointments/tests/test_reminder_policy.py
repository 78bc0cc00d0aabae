"""Holds when a visit is reminded of, also on the days the clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from backend.apps.appointments import reminder_policy
from backend.apps.appointments.reminder_policy import Offset

NEW_YORK = ZoneInfo("America/New_York")


def local(text: str, zone: str = "America/New_York") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def test_a_visit_has_four_reminders_earliest_first() -> None:
    planned = list(reminder_policy.plan(local("2026-06-20T09:00"), NEW_YORK))
    assert [(row.offset_minutes, str(row.channel)) for row in planned] == [
        (10080, "email"), (4320, "email"), (1440, "sms"), (120, "sms"),
    ]  # fmt: skip
    assert [row.send_at for row in planned] == sorted(row.send_at for row in planned)
    assert planned[-1].send_at == local("2026-06-20T07:00")


@pytest.mark.parametrize(
    ("start", "zone", "expected"),
    [
        ("2026-06-20T09:00", "America/New_York", "2026-06-13T09:00"),
        ("2026-03-10T09:00", "America/New_York", "2026-03-03T09:00"),  # the clock springs forward on 8 March
        ("2026-11-05T09:00", "America/New_York", "2026-10-29T09:00"),  # and falls back on 1 November
        ("2026-01-03T09:00", "America/New_York", "2025-12-27T09:00"),
        ("2028-03-07T09:00", "America/New_York", "2028-02-29T09:00"),
        ("2026-03-10T09:00", "America/Phoenix", "2026-03-03T09:00"),  # no summer time
        ("2026-04-08T09:00", "Australia/Lord_Howe", "2026-04-01T09:00"),  # half an hour of summer time
        ("2026-03-03T09:00", "Asia/Kathmandu", "2026-02-24T09:00"),  # +05:45
    ],
)
def test_a_week_before_is_the_same_time_of_day_at_the_clinic(start: str, zone: str, expected: str) -> None:
    assert Offset("email", days=7).send_at(local(start, zone), ZoneInfo(zone)) == local(expected, zone)


def test_a_week_before_is_an_hour_more_or_less_when_the_clock_changes_between() -> None:
    week = Offset("email", days=7)
    spring, autumn = local("2026-03-10T09:00").astimezone(UTC), local("2026-11-05T09:00").astimezone(UTC)
    assert spring - week.send_at(spring, NEW_YORK) == timedelta(days=7, hours=-1)
    assert autumn - week.send_at(autumn, NEW_YORK) == timedelta(days=7, hours=1)


def test_hours_are_absolute_across_the_change_of_the_clock() -> None:
    start = local("2026-03-08T09:00").astimezone(UTC)
    assert start - Offset("sms", hours=24).send_at(start, NEW_YORK) == timedelta(hours=24)
    assert Offset("sms", hours=24).send_at(start, NEW_YORK) == local("2026-03-07T08:00")


def test_a_time_the_clock_leaves_out_becomes_the_time_after_the_jump() -> None:
    at = Offset("email", days=7).send_at(local("2026-03-15T02:30"), NEW_YORK)
    assert at == local("2026-03-08T03:30")


def test_a_time_the_clock_shows_twice_is_its_first_showing() -> None:
    at = Offset("email", days=7).send_at(local("2026-11-08T01:30"), NEW_YORK)
    assert at == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_a_reminder_helps_for_a_quarter_of_its_offset() -> None:
    assert reminder_policy.usable_for(120) == timedelta(minutes=30)
    assert reminder_policy.usable_for(1440) == timedelta(hours=6)
