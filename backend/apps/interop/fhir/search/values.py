"""Reads the values of search parameters; without it each kind of parameter would have its own idea of a comma."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from backend.apps.interop.fhir.outcomes import BadSearch

APART = re.compile(r"((?:[^\\,]|\\.)*)(?:,|$)", re.DOTALL)
ESCAPED = re.compile(r"\\([\\,|$])")
PREFIXES = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb")
WHEN = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<clock>\d\d:\d\d(:\d\d(\.\d{1,6})?)?)(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that a date of some precision names: from `low` up to and without `high`."""

    prefix: str
    low: datetime
    high: datetime

    @property
    def first_day(self) -> date:
        return timezone.localtime(self.low).date()

    @property
    def day_after(self) -> date:
        """The first day after it; a moment names its whole day."""
        last = timezone.localtime(self.high - timedelta(microseconds=1)).date()
        return last + timedelta(days=1) if last < date.max else last


def split(text: str) -> list[str]:
    """Return the alternatives of a value, still escaped; none of them empty."""
    return [one for one in (match[1].strip() for match in APART.finditer(text)) if one]


def plain(text: str) -> str:
    return ESCAPED.sub(r"\1", text)


def token(text: str) -> tuple[str | None, str]:
    """Return (system, code) of a token; the system is None where none is said, "" where "|code" asks for none."""
    parts = re.split(r"(?<!\\)\|", text, maxsplit=1)
    if len(parts) == 1:
        return None, plain(parts[0])
    return plain(parts[0]), plain(parts[1])


def span(name: str, text: str) -> Span:
    """Return what a value such as "ge2024-05" names; times without a zone are in UTC, as answers are.

    Raises:
        BadSearch: not a date, or a prefix we do not have.
    """
    found = WHEN.fullmatch(text.replace(" ", "+"))
    if found is None:
        raise BadSearch(f"{name}: not a date such as 2024-05-31 or 2024-05-31T10:00:00Z.")
    prefix = found["prefix"] or "eq"
    if prefix not in PREFIXES:
        raise BadSearch(f"{name}: this prefix is not supported.", code="not-supported")
    try:
        low, high = (moment.astimezone(UTC) for moment in _bounds(found))
    except (ValueError, OverflowError):
        raise BadSearch(f"{name}: there is no such date.") from None
    return Span(prefix, low, high)


def _bounds(found: re.Match[str]) -> tuple[datetime, datetime]:
    year, month, day = (int(found[part] or 1) for part in ("year", "month", "day"))
    first = date(year, month, day)
    if (first == date.max and not found["clock"]) or (not found["month"] and year == date.max.year):
        return _ours(datetime.combine(first, time())), datetime.max.replace(tzinfo=UTC)  # how "never ends" is written
    if found["clock"]:
        low = datetime.combine(first, time.fromisoformat(found["clock"]))
        zoned = datetime.fromisoformat(f"{low.isoformat()}{found['zone']}") if found["zone"] else _ours(low)
        return zoned, zoned + _precision(found["clock"])
    if found["day"]:
        last = first + timedelta(days=1)
    elif found["month"]:
        last = date(year + month // 12, month % 12 + 1, 1)
    else:
        last = date(year + 1, 1, 1)
    return _ours(datetime.combine(first, time())), _ours(datetime.combine(last, time()))


def _precision(clock: str) -> timedelta:
    _, _, fraction = clock.partition(".")
    if fraction:
        return timedelta(microseconds=10 ** (6 - len(fraction)))
    return timedelta(seconds=1) if clock.count(":") == 2 else timedelta(minutes=1)


def _ours(moment: datetime) -> datetime:
    return timezone.make_aware(moment)
