"""Describes a zone's clock inside a calendar file; without it a calendar that knows no zones would be an hour off.

`icalendar` can do this too, but names the hour after the jump as the onset of summer time (RFC 5545, 3.6.5 wants the
hour before), so that a visit in the first hour of it would move.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def described(zone: ZoneInfo, around: datetime) -> Timezone:
    """Return what the zone's clock does in the year of `around` and the two beside it."""
    year = around.astimezone(UTC).year
    first, last = datetime(year - 1, 1, 1, tzinfo=UTC), datetime(year + 2, 1, 1, tzinfo=UTC)
    component = Timezone()
    component.add("tzid", zone.key)
    component.add_component(_observance(zone, first, first))
    for moment in changes(zone, first, last):
        component.add_component(_observance(zone, moment - MINUTE, moment))
    return component


def changes(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the minutes (UTC) from which on the zone's clock shows another offset."""
    day = first
    while day < last:
        if day.astimezone(zone).utcoffset() != (day + DAY).astimezone(zone).utcoffset():
            yield _change(zone, day, day + DAY)
        day += DAY


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > MINUTE:
        middle = before + MINUTE * ((after - before) // MINUTE // 2)
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after


def _observance(zone: ZoneInfo, before: datetime, moment: datetime) -> TimezoneDaylight | TimezoneStandard:
    """Return what holds from `moment` on; its onset is told by the clock that held before."""
    then, now = before.astimezone(zone), moment.astimezone(zone)
    was, becomes = then.utcoffset() or timedelta(), now.utcoffset() or timedelta()
    part = TimezoneDaylight() if now.dst() else TimezoneStandard()
    part.add("dtstart", (moment + was).replace(tzinfo=None))
    part.add("tzoffsetfrom", was)
    part.add("tzoffsetto", becomes)
    part.add("tzname", now.tzname() or zone.key)
    return part
