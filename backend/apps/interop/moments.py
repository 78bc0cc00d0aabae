"""Reads the dates and moments people write on a terminal; without it each command would take another zone."""

from __future__ import annotations

from datetime import datetime

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from backend.apps.core.models import Clinic


def moment(text: str | None, option: str) -> datetime | None:
    """Return what was written after `option`, a date or a moment, in the clinic's zone where none is said."""
    if text is None:
        return None
    try:
        day = parse_date(text)
        at = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001  # made aware below
    except ValueError:
        at = None
    if at is None:
        raise CommandError(f"{option} is a date or a moment, as 2026-03-02 or 2026-03-02T14:00+01:00.")
    return timezone.make_aware(at, Clinic.current().zone) if timezone.is_naive(at) else at
