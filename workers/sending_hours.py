"""Keeps texts to the hours for them when they leave; without it one that replaces a mail would ring in the night."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from backend.apps.appointments import notices
from backend.apps.core.work import note_all
from backend.apps.messaging import caps, fallbacks
from backend.apps.messaging.models import Channel
from workers.composing import House
from workers.runner import Again

NO_HOUR = "There is no hour any more at which this text may reach the patient."


def hold_back(row: Any, house: House) -> datetime | str | None:
    """Return until when a message has to wait, or why it cannot; None when it may leave now."""
    if not _has_hours(row):
        return None
    now = timezone.now()
    opens = notices.opens_next(row.patient, house.clinic.zone, house.rules, now)
    if row.useful_until is not None and opens >= row.useful_until:
        return NO_HOUR
    return opens if opens > now else None


def latest(row: Any, house: House) -> datetime | None:
    """Return until when a message may reach its patient if it leaves now: while it helps, and by closing at the latest.

    Of this try only, so it is not kept in the row: a mail in its place, or the next day's try, has other hours.
    """
    if not _has_hours(row):
        until: datetime | None = row.useful_until
        return until
    closes = notices.closes_next(row.patient, house.clinic.zone, house.rules, timezone.now())
    return min(row.useful_until or closes, closes)


def _has_hours(row: Any) -> bool:
    """Whether it is a text; an answer to what somebody has just texted leaves at any hour."""
    return row.channel == Channel.SMS and row.wording not in caps.UNCOUNTED


def move(moved: Sequence[tuple[Any, datetime]]) -> dict[Any, Exception]:
    """Let messages be due when texts may leave again; return how they end, which costs no attempt."""
    note_all([(row, {"due_at": opens}) for row, opens in moved])
    return {row.pk: Again() for row, _ in moved}


def say_otherwise(row: Any) -> None:
    """Say it on the other channel; where this was that one already, a person has to call."""
    fallbacks.fall_back(row, reason=NO_HOUR, call=row.fallback_of_id is not None)
