"""Reads the values of search parameters; without it each kind of parameter would have its own idea of a comma."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from backend.apps.interop.fhir.outcomes import BadSearch

MOST_EACH, MOST_IN_ONE, MOST_IN_ALL = 2_000, 200, 1_000  # characters of a value; values of a parameter, of a search
# A backslash that ends the text stands for itself, so that both fit any text at once and nothing is tried twice.
APART = re.compile(r"((?:[^\\,]|\\.?)*)(?:,|$)", re.DOTALL)
SYSTEM = re.compile(r"((?:[^\\|]|\\.?)*)(?:\|(.*))?", re.DOTALL)
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


def split(text: str) -> list[str]:
    """Return the alternatives of a value, still escaped; none of them empty."""
    return [one for one in (match[1].strip() for match in APART.finditer(text)) if one]


def within_bounds(params: Iterable[tuple[str, str]]) -> None:
    """Refuse what would cost more to search by than a search is worth.

    Raises:
        BadSearch: a value that is too long, or too many of them.
    """
    told = [(name, split(value)) for name, value in params]
    if any(len(one) > MOST_EACH for _, values in told for one in values):
        raise BadSearch(f"A value may have {MOST_EACH:,} characters.", code="too-long")
    if any(len(values) > MOST_IN_ONE for _, values in told) or sum(len(values) for _, values in told) > MOST_IN_ALL:
        raise BadSearch(
            f"A parameter may have {MOST_IN_ONE} values and a search {MOST_IN_ALL:,}: ask in several searches.",
            code="too-costly",
        )


def plain(text: str) -> str:
    return ESCAPED.sub(r"\1", text)


def token(text: str) -> tuple[str | None, str]:
    """Return (system, code) of a token; the system is None where none is said, "" where "|code" asks for none.

    Raises:
        BadSearch: neither a system nor a code.
    """
    found = SYSTEM.fullmatch(text)
    before, after = found.groups() if found else (text, None)
    if after is None:
        return None, plain(before)
    if not before and not after:
        raise BadSearch("A code or a system is missing beside |.")
    return plain(before), plain(after)


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


def day_of(moment: datetime) -> date:
    """Return the day that a moment is in."""
    return date.max if moment.year == date.max.year and moment.month == 12 and moment.day == 31 else _local(moment)


def day_from(moment: datetime) -> date:
    """Return the first day that begins at a moment or after it."""
    day = day_of(moment)
    return day if day == date.max or _ours(datetime.combine(day, time())) >= moment else day + timedelta(days=1)


def _local(moment: datetime) -> date:
    return timezone.localtime(moment).date()


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
