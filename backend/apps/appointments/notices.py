"""Writes messages that are no reminder, at a decent hour, and takes them back; each kind would do it its own way."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models.functions import Now

from backend.apps.appointments.timing import Hours
from backend.apps.appointments.zones import recipient_zones
from backend.apps.core.work import NOT_BEGUN, WorkState
from backend.apps.messaging.models import Channel, ContactRules, MessageStatus, PatientMessage
from backend.apps.patients.contacts import Points, why_unreachable
from backend.apps.patients.models import Patient

TEN = time(10)
SPREAD = timedelta(hours=2)
FRIDAY = 4
HOUR = timedelta(hours=1)
IN_VAIN = (MessageStatus.FAILED, MessageStatus.BOUNCED, MessageStatus.SUPPRESSED, MessageStatus.SUPERSEDED)


def channel_for(patient: Patient, points: Points, order: Iterable[str] = (Channel.SMS, Channel.EMAIL)) -> str | None:
    """Return the first channel of `order` that reaches the patient, if one does."""
    return next((channel for channel in order if why_unreachable(patient, channel, points) is None), None)


def take_back(kind: str, subjects: Collection[Any], reason: str) -> int:
    """Take back the messages of a kind about these rows that nobody has begun to send; return how many."""
    rows = PatientMessage.objects.filter(
        NOT_BEGUN, wording=kind, subject_id__in=list(subjects), status=MessageStatus.PENDING
    )
    return rows.update(
        status=MessageStatus.SUPERSEDED,
        status_reason=reason,
        work_state=WorkState.DONE,
        leased_until=None,
        updated_at=Now(),
    )


class Morning(NamedTuple):
    """When a message is due, and until when it may be sent: a text that was held up does not ring at night."""

    due_at: datetime
    until: datetime


def business_morning(after: datetime, hours: Hours, *, spread_by: Any = None) -> Morning:
    """Return ten o'clock (or when the hours for texts begin) of the recipient's next day from Monday to Friday.

    Where their state has several zones it is ten in all of them. spread_by: a key that moves it by up to two hours,
    always by the same, so that not all leave in one minute.
    """
    day = max(after.astimezone(zone).date() for zone in hours.zones) + timedelta(days=1)
    while day.weekday() > FRIDAY:
        day += timedelta(days=1)
    ten = max(datetime.combine(day, TEN, zone).astimezone(UTC) for zone in hours.zones)
    opens, closes = hours.of(day)
    if closes <= opens:  # no hour of that day is decent in all their zones; texts are asked again as they leave
        closes = opens + HOUR
    morning = max(opens, min(ten, closes - HOUR))
    share = zlib.crc32(str(spread_by).encode()) / 2**32 if spread_by else 0
    return Morning(morning + min(SPREAD, (closes - morning) / 2) * share, closes)


def opens_next(patient: Patient, clinic: ZoneInfo, rules: ContactRules, now: datetime) -> datetime:
    """Return when a text may reach the patient: now, or the next moment it is allowed wherever they may be."""
    zones = recipient_zones(patient, clinic)
    moments = sorted([now, *(moment for zone in zones for moment in _openings(zone, rules, now))])
    return next((one for one in moments if all(_is_open(one, zone, rules) for zone in zones)), moments[-1])


def closes_next(patient: Patient, clinic: ZoneInfo, rules: ContactRules, now: datetime) -> datetime:
    """Return when texts end today, wherever the patient may be."""
    zones = recipient_zones(patient, clinic)
    return min(datetime.combine(now.astimezone(zone).date(), rules.closes_at, zone) for zone in zones)


def _openings(zone: ZoneInfo, rules: ContactRules, now: datetime) -> Iterator[datetime]:
    today = now.astimezone(zone).date()
    for day in (today, today + timedelta(days=1)):
        opening = datetime.combine(day, rules.opens_at, zone)
        if opening > now:
            yield opening


def _is_open(moment: datetime, zone: ZoneInfo, rules: ContactRules) -> bool:
    return rules.opens_at <= moment.astimezone(zone).time() < rules.closes_at
