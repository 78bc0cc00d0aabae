"""Turns the text of single fields into dates, moments and numbers; what cannot be read is refused without its value."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import NamedTuple

STAMP = re.compile(
    r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,6})?)?)?)?([+-]\d{4})?",
    re.ASCII,
)
TIME = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,6})?)?)?([+-]\d{4})?", re.ASCII)
PARTIAL = re.compile(r"(?:1[89]|20|21)\d\d(?:0[1-9]|1[0-2])?", re.ASCII)
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})")
MEASURED = re.compile(r"(<=|>=|<>|<|>|=)?\s*(\S+)")
YEARS = range(1800, 2200)  # outside it is a typing error, and no time zone can overflow it


class BadField(ValueError):
    """A field is not what its type says; the text tells its shape, never its value."""


class Measured(NamedTuple):
    """A number with what was written around it: `<` 5, 100 `-` 200, 1 `:` 128."""

    number: Decimal | None
    comparator: str = ""
    separator: str = ""
    second: Decimal | None = None

    def __repr__(self) -> str:
        return "Measured(...)"  # a value is the patient's


def moment(text: str, *, default_tz: tzinfo) -> datetime:
    """Return the moment written in a TS field such as "20240131154500-0500".

    Units: whole seconds; a fraction is dropped. `default_tz` is the sender's zone, used only when the field carries no
    offset; the result is always aware.

    Raises:
        BadField: not at least YYYYMMDD, or not a real date.

    Source: HL7 v2.5.1, chapter 2A, data type TS.
    """
    if usual := _usual(text):
        return usual if usual.tzinfo else usual.replace(tzinfo=default_tz)
    found = STAMP.fullmatch(text.strip())
    if not found:
        raise BadField(f"not a time stamp: {len(text)} characters")
    *numbers, offset = found.groups()
    zone = _zone(offset) if offset else default_tz
    return _real(*[int(number or 0) for number in numbers]).replace(tzinfo=zone)


def _usual(text: str) -> datetime | None:
    """Return the moment of a stamp of 14 digits, with or without an offset, the way most are; None for all others."""
    digits, offset = text[:14], text[14:]
    if len(digits) != 14 or not digits.isdigit() or not text.isascii() or not "1800" <= digits < "2200":
        return None
    if offset and not (
        len(offset) == 5 and offset[0] in "+-" and offset[1:].isdigit() and offset[1:3] <= "14" and offset[3] < "6"
    ):
        return None
    try:
        return datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}{offset}")
    except ValueError:
        return None


def day(text: str) -> date:
    """Return the day of a DT or TS field, such as a birth date; a time after it is ignored.

    Raises:
        BadField: not at least YYYYMMDD, or not a real date.
    """
    if len(text) == 8 and text.isdigit() and text.isascii() and "1800" <= text < "2200":
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise BadField("not a real date") from None
    found = STAMP.fullmatch(text.strip())
    if not found:
        raise BadField(f"not a date: {len(text)} characters")
    return _real(*[int(number) for number in found.groups()[:3]]).date()


def is_partial(text: str) -> bool:
    """Return whether a date is written as a year, or a year and a month, as DT and TS allow."""
    return bool(PARTIAL.fullmatch(text.strip()))


def time_of_day(text: str, *, default_tz: tzinfo) -> time:
    """Return the time of a TM field such as "0830" or "083015.5-0500".

    Units: whole seconds; a fraction is dropped. Without an offset it has no zone of its own: a time zone such as
    America/New_York has no offset without a day, so `default_tz` is what it carries.

    Raises:
        BadField: not HH[MM[SS]], or no such time.

    Source: HL7 v2.5.1, chapter 2A, data type TM.
    """
    found = TIME.fullmatch(text.strip())
    if not found:
        raise BadField(f"not a time: {len(text)} characters")
    *numbers, offset = found.groups()
    try:
        hour, minute, second = (int(number or 0) for number in numbers)
        return time(hour, minute, second, tzinfo=_zone(offset) if offset else default_tz)
    except ValueError:
        raise BadField("not a real time") from None


def _real(year: int, *rest: int) -> datetime:
    """Return the moment without a zone; raise BadField when there is no such moment."""
    if year not in YEARS:
        raise BadField("not a date of our time")
    try:
        return datetime(year, *rest)  # type: ignore[arg-type]  # noqa: DTZ001  # the zone is the caller's
    except ValueError:
        raise BadField("not a real date") from None


def _zone(offset: str) -> timezone:
    hours, minutes = int(offset[1:3]), int(offset[3:])
    if hours > 14 or minutes > 59:
        raise BadField("not a real time zone")
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if offset[0] == "-" else ahead)


def number(text: str) -> Decimal:
    """Return the number of an NM field.

    Raises:
        BadField: anything but digits with an optional sign and point.

    Source: HL7 v2.5.1, chapter 2A, data type NM.
    """
    stripped = text.strip()
    if not NUMBER.fullmatch(stripped):
        raise BadField(f"not a number: {len(text)} characters")
    return Decimal(stripped)


def measured(text: str) -> Measured:
    """Return an NM field as sent by laboratories that write "<5" or ">= 1000" into it.

    Raises:
        BadField: no number after the comparator.
    """
    found = MEASURED.fullmatch(text.strip())
    if not found:
        raise BadField(f"not a number: {len(text)} characters")
    return Measured(number(found[2]), comparator=found[1] or "")


def structured(components: list[str]) -> Measured:
    """Return an SN field from its components: comparator, first number, separator or suffix, second number.

    Raises:
        BadField: a number is not one, or there is none.

    Source: HL7 v2.5.1, chapter 2A, data type SN.
    """
    comparator, first, separator, second = [*(part.strip() for part in components), "", "", "", ""][:4]
    if not first and not second:
        raise BadField("a structured number without a number")
    return Measured(
        number(first) if first else None,
        comparator="" if comparator == "=" else comparator,
        separator=separator,
        second=number(second) if second else None,
    )
