"""Holds when a visit is reminded of: by wall clock and by hours, in the patient's waking hours, and never too often."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backend.apps.appointments import timing
from backend.apps.appointments.timing import Hours, Plan, Rule, Terms, Visit, grouped, plan

NEW_YORK = "America/New_York"
HOUR = timedelta(hours=1)
WEEK = Rule("email", days=7)
TABLE = (
    WEEK,
    Rule("email", hours=72),
    Rule("sms", hours=24, wording="ask_to_confirm"),
    Rule("email", hours=24, order=2, wording="ask_to_confirm"),
    Rule("sms", hours=2, wording="soon", condition="unless_confirmed"),
    Rule("email", hours=2, order=2, wording="soon", condition="unless_confirmed"),
)
HOURS = Hours(time(9), time(20), [ZoneInfo(NEW_YORK)])
NO_TEXTS = {"sms": "The patient has not agreed to this channel."}


def local(text: str, zone: str = NEW_YORK) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def planned(start: datetime, *rules: Rule, now: datetime | None = None, **over: Any) -> Plan:
    """Plan a visit long ahead at a clinic in New York, for a patient there, unless told otherwise."""
    zones = over.pop("zones", (NEW_YORK,))
    terms = Terms(
        zone=ZoneInfo(over.pop("clinic", NEW_YORK)),
        hours=Hours(over.pop("opens", time(9)), over.pop("closes", time(20)), [ZoneInfo(name) for name in zones]),
        least_gap=over.pop("least_gap", 4 * HOUR),
        now=now or start - timedelta(days=30),
        reach=over.pop("unreachable", {}).get,
        carried=over.pop("carried", {}),
    )
    visit = Visit(over.pop("key", "visit"), start.astimezone(UTC), **over)
    return plan(visit, grouped(rules or TABLE), terms)


def offsets(found: Plan) -> list[tuple[int, str]]:
    return [(one.offset_minutes, one.channel) for one in found.planned]


class TestOffsets:
    def test_r01_each_offset_of_the_table_makes_one_reminder_at_its_time(self) -> None:
        start = local("2026-06-20T15:00")
        found = planned(start).planned
        assert [(start - one.send_at) / HOUR for one in found] == [2, 24, 72, 168]
        assert [(one.channel, one.wording, one.lane) for one in found] == [
            ("sms", "soon", 0), ("sms", "ask_to_confirm", 1), ("email", "reminder", 2), ("email", "reminder", 3),
        ]  # fmt: skip

    @pytest.mark.parametrize(("hours", "left"), [(100, [120, 1440, 4320]), (30, [120, 1440]), (3, [120]), (1.9, [])])
    def test_r02_offsets_that_are_past_at_booking_are_skipped_with_a_reason(
        self, hours: float, left: list[int]
    ) -> None:
        start = local("2026-06-20T15:00")
        found = planned(start, now=start - hours * HOUR)
        assert [one.offset_minutes for one in found.planned] == left
        assert {one.reason for one in found.skipped} == {timing.PAST}
        assert len(found.planned) + len(found.skipped) == 4

    def test_a_visit_that_has_begun_has_no_reminders(self) -> None:
        start = local("2026-06-20T15:00")
        assert planned(start, now=start) == Plan([], [])

    def test_the_next_channel_of_an_offset_is_taken_when_the_first_does_not_reach_the_patient(self) -> None:
        found = planned(local("2026-06-20T15:00"), unreachable=NO_TEXTS)
        assert offsets(found) == [(120, "email"), (1440, "email"), (4320, "email"), (10080, "email")]
        assert found.planned[0].note == f"Not on the first channel: {NO_TEXTS['sms']}"

    def test_an_offset_none_of_whose_channels_reach_the_patient_says_why(self) -> None:
        found = planned(local("2026-06-20T15:00"), Rule("sms", hours=24), unreachable=NO_TEXTS)
        assert found.planned == []
        assert [(one.rule.minutes, one.reason) for one in found.skipped] == [(1440, NO_TEXTS["sms"])]

    def test_r10_who_has_confirmed_is_not_asked_and_not_reminded_on_the_day(self) -> None:
        found = planned(local("2026-06-20T15:00"), confirmed=True)
        assert next((one.offset_minutes, one.wording) for one in found.planned) == (1440, "reminder")
        assert [one.reason for one in found.skipped] == [timing.CONFIRMED]
        video = planned(local("2026-06-20T15:00"), confirmed=True, telemedicine=True)
        assert next((one.offset_minutes, one.wording) for one in video.planned) == (120, "soon")

    def test_a_reminder_helps_for_a_quarter_of_its_offset_and_never_after_the_start(self) -> None:
        start = local("2026-06-20T15:00")
        found = {one.offset_minutes: one for one in planned(start).planned}
        assert found[120].useful_until == start - 1.5 * HOUR
        assert found[4320].useful_until == found[4320].send_at + 18 * HOUR
        assert all(one.useful_until < start for one in found.values())


class TestGap:
    def test_of_two_reminders_close_to_each_other_the_nearer_to_the_visit_stays(self) -> None:
        found = planned(
            local("2026-06-20T15:00"), Rule("sms", hours=2), Rule("email", hours=5), Rule("email", hours=24)
        )
        assert offsets(found) == [(120, "sms"), (1440, "email")]
        assert [(one.rule.minutes, one.reason) for one in found.skipped] == [(300, timing.TOO_CLOSE)]

    def test_exactly_the_gap_is_far_enough(self) -> None:
        found = planned(local("2026-06-20T15:00"), Rule("email", hours=2), Rule("email", hours=6))
        assert len(found.planned) == 2

    def test_a_text_moved_to_the_evening_makes_room_too(self) -> None:
        found = planned(local("2026-06-20T09:00"), Rule("sms", hours=2), Rule("email", hours=14))
        assert offsets(found) == [(120, "sms")]


class TestClocks:
    @pytest.mark.parametrize(
        ("start", "zone", "expected"),
        [
            ("2026-06-20T09:00", NEW_YORK, "2026-06-13T09:00"),
            ("2026-03-10T09:00", NEW_YORK, "2026-03-03T09:00"),  # the clock springs forward on 8 March
            ("2026-11-05T09:00", NEW_YORK, "2026-10-29T09:00"),  # and falls back on 1 November
        ],
    )
    def test_a_week_before_is_the_same_time_of_day_at_the_clinic(self, start: str, zone: str, expected: str) -> None:
        assert WEEK.send_at(local(start, zone), ZoneInfo(zone)) == local(expected, zone)

    def test_r14_on_the_day_of_spring_a_day_before_and_24_hours_before_are_an_hour_apart(self) -> None:
        start, zone = local("2026-03-08T15:00").astimezone(UTC), ZoneInfo(NEW_YORK)
        assert Rule("sms", hours=24).send_at(start, zone) == local("2026-03-07T14:00")
        assert Rule("sms", days=1).send_at(start, zone) == local("2026-03-07T15:00")
        assert start - Rule("sms", days=1).send_at(start, zone) == 23 * HOUR

    def test_r15_a_time_the_clock_shows_twice_is_its_first_showing(self) -> None:
        first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
        assert WEEK.send_at(local("2026-11-08T01:30"), ZoneInfo(NEW_YORK)) == first
        twice = local("2026-11-01T01:30").replace(fold=1)  # the visit itself is in the second of the two hours
        assert twice.astimezone(UTC) - Rule("email", hours=24).send_at(twice, ZoneInfo(NEW_YORK)) == 24 * HOUR
        assert Rule("email", days=1).send_at(twice, ZoneInfo(NEW_YORK)) == local("2026-10-31T01:30")

    def test_r16_a_time_the_clock_leaves_out_becomes_as_much_later_as_the_clock_jumps(self) -> None:
        assert WEEK.send_at(local("2026-03-15T02:30"), ZoneInfo(NEW_YORK)) == local("2026-03-08T03:30")

    @pytest.mark.parametrize(
        ("start", "expected"),
        [
            ("2026-01-03T09:00", "2025-12-27T09:00"),
            ("2028-03-07T09:00", "2028-02-29T09:00"),
            ("2027-03-07T09:00", "2027-02-28T09:00"),
            ("2028-03-01T09:00", "2028-02-23T09:00"),
        ],
    )
    def test_r20_year_end_and_29_february_are_days_like_others(self, start: str, expected: str) -> None:
        assert WEEK.send_at(local(start), ZoneInfo(NEW_YORK)) == local(expected)

    @pytest.mark.parametrize(
        ("zone", "start", "expected"),
        [
            ("America/Phoenix", "2026-03-10T09:00", "2026-03-03T09:00"),
            ("Pacific/Honolulu", "2026-11-05T09:00", "2026-10-29T09:00"),
            ("America/Puerto_Rico", "2026-03-10T09:00", "2026-03-03T09:00"),
            ("Asia/Kathmandu", "2026-03-03T09:00", "2026-02-24T09:00"),  # +05:45
            ("Pacific/Chatham", "2026-04-08T09:00", "2026-04-01T09:00"),  # +13:45 and +12:45
            ("Australia/Lord_Howe", "2026-04-08T09:00", "2026-04-01T09:00"),  # half an hour of summer time
        ],
    )
    def test_r21_zones_without_summer_time_or_off_the_full_hour(self, zone: str, start: str, expected: str) -> None:
        assert WEEK.send_at(local(start, zone), ZoneInfo(zone)) == local(expected, zone)
        found = planned(local(start, zone), Rule("sms", hours=2), clinic=zone, zones=(zone,)).planned
        (text,) = [one.send_at.astimezone(ZoneInfo(zone)) for one in found]
        assert (text.date(), text.hour) == (local(start, zone).date() - timedelta(days=1), 19)


class TestQuietHours:
    def test_r18_a_text_before_the_hours_leaves_the_evening_before(self) -> None:
        found = planned(local("2026-06-20T10:00"), Rule("sms", hours=2, wording="soon")).planned[0]
        at = found.send_at.astimezone(ZoneInfo(NEW_YORK))
        assert local("2026-06-19T19:00") <= at <= local("2026-06-19T19:45")
        assert found.useful_until <= local("2026-06-19T20:00")
        assert found.note == "Moved earlier, into the hours for texts."
        assert found.wording == "reminder"  # the words for the day itself are wrong on the evening before

    def test_r18_a_text_after_the_hours_leaves_the_same_evening(self) -> None:
        found = planned(local("2026-06-20T23:00"), Rule("sms", hours=2)).planned[0]
        assert local("2026-06-20T19:00") <= found.send_at <= local("2026-06-20T19:45")

    def test_r18_booked_after_that_evening_it_leaves_in_the_morning_if_that_still_helps(self) -> None:
        start, night = local("2026-06-20T12:00"), local("2026-06-19T23:00")
        found = planned(start, Rule("sms", hours=4), now=night).planned[0]
        assert local("2026-06-20T09:00") <= found.send_at <= local("2026-06-20T09:30")
        late = planned(local("2026-06-20T10:00"), Rule("sms", hours=2), now=night)
        assert late.planned == []
        assert [one.reason for one in late.skipped] == [timing.NO_HOUR]

    def test_r18_the_mail_of_the_same_offset_goes_out_when_no_hour_is_left_for_a_text(self) -> None:
        rules = (Rule("sms", hours=2), Rule("email", hours=2, order=2))
        found = planned(local("2026-06-20T10:00"), *rules, now=local("2026-06-19T23:00"))
        assert [(one.channel, one.send_at) for one in found.planned] == [("email", local("2026-06-20T08:00"))]

    def test_mail_knows_no_quiet_hours(self) -> None:
        found = planned(local("2026-06-20T05:00"), Rule("email", hours=2)).planned[0]
        assert found.send_at == local("2026-06-20T03:00")

    @pytest.mark.parametrize(("at", "allowed"), [("08:59", False), ("09:00", True), ("19:59", True), ("20:00", False)])
    def test_the_hours_begin_at_their_first_minute_and_end_before_their_last(self, at: str, allowed: bool) -> None:
        assert Hours(time(9), time(20), [ZoneInfo(NEW_YORK)]).allow(local(f"2026-06-20T{at}")) is allowed

    def test_the_hours_are_those_of_the_patient_not_of_the_clinic(self) -> None:
        start = local("2026-06-20T12:00")  # nine in the morning in Los Angeles
        found = planned(start, Rule("sms", hours=2), zones=("America/Los_Angeles",)).planned[0]
        at = found.send_at.astimezone(ZoneInfo("America/Los_Angeles"))
        assert (at.date().isoformat(), at.hour) == ("2026-06-19", 19)

    def test_who_may_live_in_one_of_two_zones_is_texted_when_both_are_awake(self) -> None:
        both = Hours(time(9), time(20), [ZoneInfo("America/Chicago"), ZoneInfo("America/Denver")])
        assert not both.allow(local("2026-06-20T09:30", "America/Chicago"))
        assert both.allow(local("2026-06-20T09:00", "America/Denver"))
        assert not both.allow(local("2026-06-20T19:30", "America/Denver"))

    def test_zones_without_a_common_hour_leave_no_text(self) -> None:
        apart = ("Pacific/Honolulu", "Europe/Paris")
        found = planned(local("2026-06-20T12:00"), Rule("sms", hours=2), zones=apart)
        assert [one.reason for one in found.skipped] == [timing.NO_HOUR]

    def test_what_would_all_leave_at_once_is_spread_and_always_alike(self) -> None:
        start = local("2026-06-20T09:00")
        times = [planned(start, Rule("sms", hours=2), key=str(key)).planned[0].send_at for key in range(300)]
        assert times == [planned(start, Rule("sms", hours=2), key=str(key)).planned[0].send_at for key in range(300)]
        assert len(set(times)) > 200
        assert max(times) - min(times) > timedelta(minutes=40)


class TestCarried:
    def test_what_waits_already_is_planned_again_although_its_time_came(self) -> None:
        start = local("2026-06-20T15:00")
        due, now = start - 24 * HOUR, start - 23.9 * HOUR
        found = planned(start, Rule("sms", hours=24), now=now, carried={1440: due.astimezone(UTC)})
        assert [one.send_at for one in found.planned] == [due]

    def test_what_was_moved_to_the_morning_stays_there_when_its_own_time_has_passed(self) -> None:
        start, morning = local("2026-06-20T12:00"), local("2026-06-20T09:10")
        found = planned(start, Rule("sms", hours=4), now=local("2026-06-20T08:30"), carried={240: morning})
        assert [one.send_at for one in found.planned] == [morning]


@pytest.mark.parametrize("carried", [{}, {1440: local("2026-06-19T22:00")}])
def test_visits_planned_under_the_same_terms_get_what_each_would_get_alone(carried: dict[int, datetime]) -> None:
    """Times that are past, in hours and out of them, early and late; texts out of hours differ by the visit's key."""
    terms = [
        Terms(ZoneInfo(NEW_YORK), HOURS, 4 * HOUR, local("2026-06-19T21:00"), {}.get, carried)
        for _ in range(1 + 3 * 48)
    ]
    rules, found = grouped(TABLE), []
    for place in range(3 * 48):
        visit = Visit(f"visit {place}", local("2026-06-20T06:00") + place % 48 * HOUR / 2, place % 5 == 0)
        found.append(plan(visit, rules, terms[-1]))
        assert found[-1] == plan(visit, rules, terms[place])
    assert len({one.send_at for each in found for one in each.planned}) > 48
