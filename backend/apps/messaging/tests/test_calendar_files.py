"""Holds that a visit lands in the patient's calendar at its moment, moves when it moves, and says nothing more."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.tz import tzical
from icalendar import Calendar, Event

from backend.apps.messaging import calendar_files

NEW_YORK = ZoneInfo("America/New_York")
ID = "0190a5f0-0000-7000-8000-000000000001"


def file_of(starts_at: datetime, zone: ZoneInfo = NEW_YORK, **over: Any) -> bytes:
    fields: dict[str, Any] = {"version": 1, "clinic": "Elm Street Clinic", "phone": "+15185550100", **over}
    ends_at = starts_at + timedelta(minutes=30)
    return calendar_files.ics(ID, starts_at=starts_at, ends_at=ends_at, zone=zone, **fields)


def event_of(file: bytes, *, method: str = "PUBLISH") -> Event:
    calendar = Calendar.from_ical(file)
    assert calendar.get("method") == method
    (event,) = calendar.walk("VEVENT")
    assert event.errors == []
    return event


def moment_of(file: bytes, zone: ZoneInfo) -> datetime:
    """Return the start as a calendar understands it that knows only the zone described inside of the file."""
    start = event_of(file)["dtstart"]
    described = tzical(io.StringIO(file.decode())).get(zone.key) if "TZID" in start.params else UTC
    return start.dt.replace(tzinfo=described).astimezone(UTC)


def test_r46_the_uid_stays_and_the_sequence_rises_when_the_visit_moves(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://care.example.org:8443"
    first = event_of(file_of(datetime(2026, 3, 3, 15, 30, tzinfo=UTC), version=1))
    moved = event_of(file_of(datetime(2026, 3, 4, 15, 30, tzinfo=UTC), version=2))
    gone = event_of(file_of(datetime(2026, 3, 4, 15, 30, tzinfo=UTC), version=3, cancelled=True), method="CANCEL")
    assert {str(event["uid"]) for event in (first, moved, gone)} == {f"{ID}@care.example.org"}
    assert [event["sequence"] for event in (first, moved, gone)] == [1, 2, 3]
    assert [str(event["status"]) for event in (first, moved, gone)] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]


@pytest.mark.parametrize(
    ("zone", "starts_at"),
    [
        ("America/New_York", datetime(2026, 3, 8, 6, 59, tzinfo=UTC)),  # the last minute before the jump
        ("America/New_York", datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),  # the first hour after it
        ("America/New_York", datetime(2026, 7, 1, 13, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),  # 1:30, the first time
        ("America/New_York", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),  # 1:30, the second time
        ("America/New_York", datetime(2026, 12, 31, 23, 45, tzinfo=UTC)),
        ("America/New_York", datetime(2028, 2, 29, 14, 0, tzinfo=UTC)),
        ("America/Phoenix", datetime(2026, 7, 1, 16, 0, tzinfo=UTC)),
        ("Pacific/Honolulu", datetime(2026, 7, 1, 20, 0, tzinfo=UTC)),
        ("America/Puerto_Rico", datetime(2026, 7, 1, 14, 0, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(2026, 7, 1, 4, 15, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 3, 16, 0, tzinfo=UTC)),  # half an hour's jump
        ("Pacific/Chatham", datetime(2026, 4, 4, 15, 0, tzinfo=UTC)),
        ("Europe/Dublin", datetime(2026, 7, 1, 9, 0, tzinfo=UTC)),
    ],
)
def test_r46_the_visit_stands_at_its_moment_for_a_calendar_that_knows_only_the_file(
    zone: str, starts_at: datetime
) -> None:
    file = file_of(starts_at, ZoneInfo(zone))
    assert moment_of(file, ZoneInfo(zone)) == starts_at
    event = event_of(file)
    assert event.decoded("dtend").astimezone(UTC) - starts_at == timedelta(minutes=30)


def test_r46_the_start_is_told_by_the_clinics_clock_with_its_zone() -> None:
    text = file_of(datetime(2026, 3, 3, 15, 30, tzinfo=UTC)).decode()
    assert "DTSTART;TZID=America/New_York:20260303T103000\r\n" in text
    assert "BEGIN:VTIMEZONE\r\nTZID:America/New_York\r\n" in text


def test_r46_the_file_says_clinic_and_phone_and_nothing_more() -> None:
    event = event_of(file_of(datetime(2026, 3, 3, 15, 30, tzinfo=UTC)))
    assert str(event["summary"]) == "Appointment"
    assert str(event["description"]) == "Elm Street Clinic +15185550100"
    assert str(event["class"]) == "PRIVATE"
    assert set(event) == {
        "UID", "DTSTAMP", "SEQUENCE", "STATUS", "SUMMARY", "DESCRIPTION", "CLASS", "DTSTART", "DTEND",
    }  # fmt: skip


def test_r46_the_entry_is_named_in_the_patients_language() -> None:
    assert str(event_of(file_of(datetime(2026, 3, 3, 15, 30, tzinfo=UTC), language="es-MX"))["summary"]) == "Cita"


def test_r46_lines_end_and_fold_as_the_format_wants_and_a_name_adds_no_line() -> None:
    name = "Clínica de la Niñez\r\nATTENDEE:mailto:x@example.org; a very long name, with commas, " + "é" * 60
    file = file_of(datetime(2026, 3, 3, 15, 30, tzinfo=UTC), clinic=name)
    lines = file.split(b"\r\n")
    assert b"\n" not in b"".join(lines)
    assert max(map(len, lines)) <= 75
    assert "ATTENDEE" not in event_of(file)
    assert str(event_of(file)["description"]).startswith("Clínica de la Niñez ATTENDEE:")


def test_the_same_visit_is_the_same_file_at_the_same_moment() -> None:
    stamp, starts_at = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, 15, 30, tzinfo=UTC)
    assert file_of(starts_at, stamp=stamp) == file_of(starts_at, stamp=stamp)
