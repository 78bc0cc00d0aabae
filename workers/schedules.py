"""Says when an entry of the beat schedule was due and will be; without it nobody could tell that it is late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from celery.schedules import crontab

from workers.celery_app import app

PERIODS, LEAST_GRACE = 3, timedelta(seconds=60)  # so many periods may pass of what comes every few seconds
CRONTAB_GRACE = timedelta(minutes=15)
LOOK_BACK = tuple(timedelta(days=days) for days in (1 / 24, 1, 7, 31, 366))


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the beat schedule. every: its period, where it is not a crontab."""

    name: str
    task: str
    every: timedelta | None
    crontab: crontab | None

    @property
    def patience(self) -> timedelta | None:
        """How long after a run the next one has to be noted, where that does not hang on the hour."""
        return None if self.every is None else max(PERIODS * self.every, LEAST_GRACE)

    def due_by(self, now: datetime) -> datetime:
        """Return when a run after `now` has to be noted at the latest."""
        return now + self.patience if self.patience else self._next(now) + CRONTAB_GRACE

    def last_due(self, now: datetime) -> datetime | None:
        """Return the last moment up to `now` at which a crontab was due, within a year; None for a period."""
        if self.crontab is None:
            return None
        for back in LOOK_BACK:
            if found := list(self._dues(now - back, now)):
                return found[-1]
        return None

    def _dues(self, since: datetime, until: datetime) -> Iterator[datetime]:
        due = self._next(since)
        while due <= until:
            yield due
            due = self._next(due)

    def _next(self, after: datetime) -> datetime:
        start, step, _ = cast("crontab", self.crontab).remaining_delta(after, tz=UTC)
        return cast("datetime", start + step)


def entries() -> list[Entry]:
    """Return all entries of the schedule that this worker knows."""
    return [entry(name) for name in app.conf.beat_schedule]


def entry(name: str) -> Entry:
    """Return one entry. Raises KeyError: there is none of that name."""
    row: dict[str, Any] = app.conf.beat_schedule[name]
    when = row["schedule"]
    if isinstance(when, crontab):
        return Entry(name, row["task"], None, when)
    every = when if isinstance(when, timedelta) else timedelta(seconds=float(when))
    return Entry(name, row["task"], every, None)
