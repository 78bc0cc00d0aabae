"""Writes a visit as a calendar file; without it a patient would type the time, and an old one would stay in place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from icalendar import Calendar, Event

from backend.apps.messaging import shipped
from backend.apps.messaging.calendar_zones import described
from backend.apps.messaging.rendering import clean

PUBLISH, CANCEL = "PUBLISH", "CANCEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A visit in the patient's calendar: of one `uid` the higher `sequence` replaces the lower."""

    uid: UUID
    sequence: int
    starts_at: datetime
    ends_at: datetime
    is_cancelled: bool = False


def ics(
    appointment_id: Any,
    *,
    starts_at: datetime,
    ends_at: datetime,
    zone: ZoneInfo,
    version: int,
    clinic: str,
    phone: str = "",
    language: str = "en",
    cancelled: bool = False,
    stamp: datetime | None = None,
) -> bytes:
    """Return an iCalendar file that says when and at which clinic, and nothing else (RFC 5545, RFC 5546).

    A later `version` of the same visit replaces the entry in the patient's calendar; cancelled takes it out.
    """
    event = Event()
    event.add("uid", f"{appointment_id}@{urlsplit(settings.PUBLIC_BASE_URL).hostname}")
    event.add("dtstamp", stamp or timezone.now())
    event.add("sequence", version)
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    event.add("summary", shipped.phrases(language).calendar)
    event.add("description", " ".join(filter(None, [clean(clinic), clean(phone)])))
    event.add("class", "PRIVATE")
    event.add("dtstart", _told(starts_at, zone))
    event.add("dtend", _told(ends_at, zone))
    return _calendar(event, zone, starts_at, CANCEL if cancelled else PUBLISH).to_ical()


def file_of(entry: Entry, *, zone: ZoneInfo, clinic: str, phone: str, language: str) -> bytes:
    """Return the calendar file of a visit as it is now."""
    return ics(
        entry.uid,
        starts_at=entry.starts_at,
        ends_at=entry.ends_at,
        zone=zone,
        version=entry.sequence,
        clinic=clinic,
        phone=phone,
        language=language,
        cancelled=entry.is_cancelled,
    )


def content_type(entry: Entry) -> str:
    """Return the media type of `file_of`, which says what the file asks the calendar to do (RFC 6047, 2.4)."""
    return f"text/calendar; charset=utf-8; method={CANCEL if entry.is_cancelled else PUBLISH}"


def _calendar(event: Event, zone: ZoneInfo, starts_at: datetime, method: str) -> Calendar:
    calendar = Calendar()
    calendar.add("prodid", "-//CareRelay//Appointments//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(described(zone, starts_at))
    calendar.add_component(event)
    return calendar


def _told(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment by the zone's clock; in UTC where that clock shows the hour for the second time."""
    local = moment.astimezone(zone)
    return moment.astimezone(UTC) if local.fold else local
