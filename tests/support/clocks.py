"""Holds the clock, or finds where it is a certain hour; without it tests would pass at most times of day only."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine
from django.utils import timezone


def zone_at(hour: int = 12) -> str:
    """Return a zone in which it is that hour now, by default noon: no day ends while a test runs."""
    ahead = (hour - timezone.now().hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}"  # the signs of these are the other way round


@contextmanager
def held_minute() -> Iterator[None]:
    """Hold the clock, so that no minute of a limit ends in the middle, at a time no other run of this hour counted."""
    at = datetime(2031, 3, 4, 15, 0, 30, tzinfo=UTC) + timedelta(minutes=secrets.randbelow(10**6))
    with time_machine.travel(at, tick=False):
        yield
