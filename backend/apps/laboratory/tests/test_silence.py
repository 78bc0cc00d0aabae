"""Holds when a feed is silent: by its own hours, never for a night or a closed day, and told once."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from backend.apps.core import alerts
from backend.apps.core.models import Alert
from backend.apps.laboratory import silence
from backend.apps.laboratory.models import FeedRhythm, InboundMessage, LabFeed
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
NEW_YORK = ZoneInfo("America/New_York")
MONDAY = datetime(2026, 6, 1, tzinfo=NEW_YORK)  # eight weeks without a change of the clocks before it
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def feed(**over: Any) -> LabFeed:
    return make_lab_feed(**{"time_zone": "America/New_York", "sending_facility": uuid.uuid4().hex, **over})


def hear(of: LabFeed, moments: Iterable[datetime]) -> None:
    """Save one message for each moment."""
    rows = []
    for number, at in enumerate(moments):
        raw = f"MSH|{of.pk}|{number}".encode()
        digest = hashlib.sha256(raw).hexdigest()
        name = {"sending_facility": str(of.pk), "control_id": str(number), "sha256": digest}
        rows.append(
            InboundMessage(
                feed=of, raw=raw, size_bytes=len(raw), received_at=at, dedupe_key=digest, work_state="done", **name
            )
        )
    InboundMessage.objects.bulk_create(rows)


def office_hours(until: datetime, weeks: int = 4, *, closed: Iterable[Any] = ()) -> list[datetime]:
    """Return moments of a laboratory that sends every half an hour or so, Monday to Friday from 8 to 17."""
    dice = random.Random(7)
    moments, day = [], (until - timedelta(weeks=weeks)).astimezone(NEW_YORK).replace(hour=0, minute=0, second=0)
    while day < until:
        if day.weekday() < 5 and day.date() not in closed:
            at = day.replace(hour=8) + timedelta(minutes=dice.uniform(0, 20))
            while at < day.replace(hour=17) and at < until:
                moments.append(at)
                at += timedelta(minutes=dice.uniform(15, 45))
        day = (day + timedelta(hours=36)).replace(hour=0)
    return moments


def steadily(until: datetime, every: timedelta, weeks: int = 3) -> list[datetime]:
    return [until - every * number for number in range(int(timedelta(weeks=weeks) / every))]


def at(day: datetime, hour: float) -> datetime:
    return (day.replace(hour=0) + timedelta(hours=hour)).astimezone(UTC)


def test_a_laboratory_with_office_hours_is_not_silent_at_night_nor_on_sunday_but_is_on_monday_morning() -> None:
    one = feed()
    hear(one, office_hours(MONDAY - 2 * DAY))
    for quiet in (MONDAY - 2 * DAY, MONDAY - DAY, MONDAY - 3 * HOUR, at(MONDAY, 8.5)):
        assert not silence.is_silent(one, quiet), quiet
    assert not silence.is_silent(one, at(MONDAY, 8.75))
    assert silence.is_silent(one, at(MONDAY, 10))
    assert silence.is_silent(one, at(MONDAY, 23))


def test_a_laboratory_that_never_closes_is_silent_within_the_hour_at_any_hour() -> None:
    one = feed()
    night = at(MONDAY, 3)
    hear(one, steadily(night, timedelta(minutes=20)))
    assert not silence.is_silent(one, night + timedelta(minutes=39))
    assert silence.is_silent(one, night + timedelta(minutes=42))


def test_a_feed_of_two_messages_a_week_may_wait_for_days_but_not_for_a_month() -> None:
    one = feed()
    dice = random.Random(3)
    friday = at(MONDAY - 3 * DAY, 12)
    hear(one, [friday - timedelta(days=3.5 * number, hours=dice.uniform(0, 5)) for number in range(16)])
    assert not silence.is_silent(one, friday + 5 * DAY)
    assert silence.is_silent(one, friday + 30 * DAY)


def test_a_burst_an_hour_is_not_silent_between_its_bursts() -> None:
    one = feed()
    noon = at(MONDAY, 12)
    hear(one, [burst + timedelta(seconds=n) for burst in steadily(noon, HOUR) for n in range(3)])
    assert not silence.is_silent(one, noon + timedelta(minutes=70))
    assert silence.is_silent(one, noon + timedelta(minutes=130))


def test_a_holiday_in_the_past_does_not_dull_the_ear() -> None:
    one = feed()
    hear(one, office_hours(MONDAY - 2 * DAY, closed=[(MONDAY - 14 * DAY).date()]))
    assert silence.is_silent(one, at(MONDAY, 10.5))


def test_a_holiday_is_told_once_and_cleared_by_the_next_message() -> None:
    one = feed()
    hear(one, office_hours(MONDAY - 2 * DAY))
    for hour in (9, 10, 12, 16, 20, 26, 31):
        with time_machine.travel(at(MONDAY, hour), tick=False):
            silence.watch()
    alert = Alert.objects.get()
    assert (alert.cause, alert.kind, alert.times, alert.resolved_at) == (silence.cause(one), silence.KIND, 1, None)
    make_inbound_message(feed=one, received_at=at(MONDAY, 32.2))
    with time_machine.travel(at(MONDAY, 32.3), tick=False):
        assert silence.watch() == (0, 1)
        assert silence.watch() == (0, 0)


def test_what_a_person_dismissed_is_not_told_again_before_the_feed_has_spoken() -> None:
    one = feed()
    hear(one, office_hours(MONDAY - 2 * DAY))
    with time_machine.travel(at(MONDAY, 11), tick=False) as clock:
        silence.watch()
        alerts.resolve(Alert.objects.get(), by=make_user("admin"))
        clock.shift(HOUR)
        silence.watch()
        assert not Alert.objects.filter(resolved_at=None).exists()
        make_inbound_message(feed=one, received_at=at(MONDAY, 12))
        clock.shift(3 * HOUR)
        silence.watch()
        assert Alert.objects.filter(resolved_at=None).count() == 1


def test_the_hours_are_those_of_the_feeds_own_zone_across_a_change_of_the_clocks() -> None:
    one = feed()
    before = datetime(2026, 3, 7, tzinfo=NEW_YORK)  # a Saturday; the clocks go forward that night
    hear(one, office_hours(before))
    monday = before + 2 * DAY
    assert not silence.is_silent(one, at(monday, 0))
    assert not silence.is_silent(one, datetime(2026, 3, 9, 8, 40, tzinfo=NEW_YORK))
    assert silence.is_silent(one, datetime(2026, 3, 9, 10, 0, tzinfo=NEW_YORK))


@pytest.mark.parametrize(
    ("day", "hours"), [(datetime(2026, 3, 8, tzinfo=NEW_YORK), 23), (datetime(2026, 11, 1, tzinfo=NEW_YORK), 25)]
)
def test_a_day_of_a_clock_change_has_as_many_hours_as_it_has(day: datetime, hours: int) -> None:
    counted = silence.busy_hours([1.0] * 168, day.astimezone(UTC), (day + DAY).astimezone(UTC), NEW_YORK)
    assert counted == pytest.approx(hours)


def test_weeks_are_counted_at_once_and_time_never_runs_backwards() -> None:
    shares = [hour / 168 for hour in range(168)]
    start = at(MONDAY, 5.3)
    by_days = [silence.busy_hours(shares, start + n * DAY, start + (n + 1) * DAY, NEW_YORK) for n in range(21)]
    assert silence.busy_hours(shares, start, start + 21 * DAY, NEW_YORK) == pytest.approx(sum(by_days))
    assert silence.busy_hours(shares, start, start - DAY, NEW_YORK) == 0


def test_a_new_feed_is_judged_by_its_fixed_minutes_alone() -> None:
    new, fixed = feed(), feed(silence_minutes=60)
    noon = at(MONDAY, 12)
    for each in (new, fixed):
        hear(each, steadily(noon, HOUR, weeks=1))
    assert not silence.is_silent(new, noon + 5 * DAY)
    assert not silence.is_silent(fixed, noon + timedelta(minutes=59))
    assert silence.is_silent(fixed, noon + timedelta(minutes=61))
    never = feed(silence_minutes=60)
    assert silence.is_silent(never, never.created_at + timedelta(minutes=61))
    assert not silence.is_silent(feed(), never.created_at + 100 * DAY)


def test_an_inactive_or_deleted_feed_is_silent_by_right_and_its_alert_is_cleared() -> None:
    one, other = feed(silence_minutes=5), feed(silence_minutes=5)
    with time_machine.travel(datetime.now(UTC) + HOUR, tick=False):
        assert silence.watch() == (2, 0)
        LabFeed.objects.filter(pk=one.pk).update(is_active=False)
        other.delete()
        assert silence.watch() == (0, 2)


def test_after_hours_of_downtime_one_alert_tells_it() -> None:
    one = feed()
    noon = at(MONDAY, 12)
    hear(one, steadily(noon, HOUR))
    with time_machine.travel(noon + 7 * HOUR, tick=False) as clock:
        for _ in range(3):
            silence.watch()
            clock.shift(timedelta(minutes=5))
    assert Alert.objects.get().times == 1


def test_a_restored_database_is_judged_by_its_last_message_and_learns_anew() -> None:
    one = feed()
    noon = at(MONDAY, 12)
    hear(one, steadily(noon, HOUR))
    FeedRhythm.objects.create(feed=one, shares=[0.0] * 168, usual_gap=None, learned_at=noon + 30 * DAY)
    with time_machine.travel(noon + 2 * DAY, tick=False):
        silence.watch()
    assert FeedRhythm.objects.get().learned_at == noon + 2 * DAY
    assert Alert.objects.filter(resolved_at=None).count() == 1


def test_a_long_silence_does_not_become_the_rule() -> None:
    one = feed()
    noon = at(MONDAY, 12)
    hear(one, steadily(noon, HOUR))
    for weeks in (1, 9, 20):
        assert silence.is_silent(one, noon + timedelta(weeks=weeks))
    assert FeedRhythm.objects.get().messages == 3 * 7 * 24


def test_the_rhythm_is_learned_once_a_day() -> None:
    one = feed()
    noon = at(MONDAY, 12)
    hear(one, steadily(noon, HOUR))
    silence.is_silent(one, noon)
    first = FeedRhythm.objects.get().learned_at
    silence.is_silent(one, noon + 23 * HOUR)
    assert FeedRhythm.objects.get().learned_at == first
    silence.is_silent(one, noon + 25 * HOUR)
    assert FeedRhythm.objects.get().learned_at > first


def test_the_alert_names_the_feed_and_no_patient() -> None:
    feed(name="North laboratory", silence_minutes=5)
    with time_machine.travel(datetime.now(UTC) + HOUR, tick=False):
        silence.watch()
    assert Alert.objects.get().sentence == "Nothing has come from the feed North laboratory for longer than usual."
