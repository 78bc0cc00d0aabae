"""Working days and half-hour slots for made-up visits, so that no two of one doctor overlap by construction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice

SLOT = timedelta(minutes=30)
STARTS = [time(9 + half // 2, 30 * (half % 2)) for half in range(16) if half not in {6, 7}]  # lunch at noon
HOURS = ((time(9, 0), time(12, 0)), (time(13, 0), time(17, 0)))


def slots(first: date, zone: tzinfo) -> Iterator[datetime]:
    """Yield the starts of all slots from `first` on, Monday to Friday, in UTC."""
    day = first
    while True:
        if day.weekday() < 5:
            for start in STARTS:
                yield datetime.combine(day, start, tzinfo=zone).astimezone(UTC)
        day += timedelta(days=1)


def around(today: date, count: int, zone: tzinfo, ahead: float = 0.15) -> list[datetime]:
    """Return `count` slots in order, about the part `ahead` of them after `today`."""
    days_needed = count / len(STARTS) * 7 / 5
    first = today - timedelta(days=int(days_needed * (1 - ahead)))
    return list(islice(slots(first, zone), count))
