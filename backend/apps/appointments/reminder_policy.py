"""When a visit is reminded of, and how late is too late: without this table the times would be scattered over the code.

Days are days of the clinic's wall clock (a visit at 9:00 is reminded of at 9:00, also across a change of the clock);
hours are absolute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from backend.apps.appointments.models import ReminderType

DAY_MINUTES, HOUR_MINUTES = 1440, 60


@dataclass(frozen=True, slots=True)
class Offset:
    """How long before the visit, and by which channel."""

    channel: str
    days: int = 0
    hours: int = 0

    @property
    def minutes(self) -> int:
        return self.days * DAY_MINUTES + self.hours * HOUR_MINUTES

    def send_at(self, start: datetime, zone: ZoneInfo) -> datetime:
        """Return the moment to send, in UTC; a time the clock leaves out means as much later as the clock jumps."""
        before = (start.astimezone(zone) - timedelta(days=self.days)) if self.days else start
        return before.astimezone(UTC) - timedelta(hours=self.hours)


OFFSETS = (
    Offset(ReminderType.EMAIL, days=7),
    Offset(ReminderType.EMAIL, hours=72),
    Offset(ReminderType.SMS, hours=24),
    Offset(ReminderType.SMS, hours=2),
)


class Planned(NamedTuple):
    offset_minutes: int
    channel: str
    send_at: datetime


def plan(start: datetime, zone: ZoneInfo) -> Iterator[Planned]:
    """Yield every reminder of a visit at `start`, earliest first, those that are past too."""
    for offset in OFFSETS:
        yield Planned(offset.minutes, offset.channel, offset.send_at(start, zone))


def usable_for(offset_minutes: int) -> timedelta:
    """Return how long after its time a reminder still helps: a quarter of its offset, as 30 minutes for 2 hours."""
    return timedelta(minutes=offset_minutes / 4)
