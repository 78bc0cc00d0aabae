"""Says moments as the reader's language does, by the clinic's clock; without it a patient would come an hour late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from django.utils import formats, translation
from django.utils.dateformat import format as dateformat

from backend.apps.messaging import shipped

MOST_VISITS = 4  # in one text: it is two messages long then


def day(moment: datetime, zone: ZoneInfo, language: str) -> str:
    """Return the date, as "Tue 3 Mar" or "mar 3 de marzo"; in other languages that language's own long date."""
    own = shipped.phrases(language).day if _base(language) in shipped.LANGUAGES else ""
    with translation.override(language):
        text = dateformat(moment.astimezone(zone), own or formats.get_format("DATE_FORMAT", language))
    return text.lower() if _base(language) == "es" else text


def time(moment: datetime, zone: ZoneInfo, language: str) -> str:
    """Return the time of day and its zone, as "10:30 AM EST", or "10:30 EST" where a language counts to 24."""
    return f"{_clock(moment, zone, language)} {label(moment, zone)}"


def full(moment: datetime, zone: ZoneInfo, language: str) -> str:
    """Return date, time and zone, as "Tue 3 Mar at 10:30 AM EST"."""
    return _full(moment, zone, language, time(moment, zone, language))


def short(moment: datetime, zone: ZoneInfo, language: str) -> str:
    """Return weekday and clock, as "Tue 10:45 AM"."""
    with translation.override(language):
        weekday = dateformat(moment.astimezone(zone), "D")
    return f"{weekday} {_clock(moment, zone, language)}"


def several(moments: Iterable[datetime], zone: ZoneInfo, language: str) -> str:
    """Return moments in order on one line; those of one zone label name it once, at the end.

    Only the first four are told; of the others only how many there are.
    """
    ordered = sorted(set(moments))
    others, ordered = len(ordered[MOST_VISITS:]), ordered[:MOST_VISITS]
    said: list[str] = []
    for name, run in groupby(ordered, key=lambda moment: label(moment, zone)):
        texts = [_full(moment, zone, language, _clock(moment, zone, language)) for moment in run]
        said += [*texts[:-1], f"{texts[-1]} {name}"]
    phrases = shipped.phrases(language)
    if others:
        return ", ".join(said) + phrases.more.replace("{count}", str(others))
    return phrases.last.join([*filter(None, [", ".join(said[:-1])]), *said[-1:]])


def label(moment: datetime, zone: ZoneInfo) -> str:
    """Return what the zone's clock is called that day: "EST", or "UTC+5:45" where it has no letters."""
    local = moment.astimezone(zone)
    name, offset = local.tzname() or "", local.utcoffset()
    if name[:1] not in ("+", "-") or offset is None:
        return name
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


def clocks_differ(moment: datetime, zone: ZoneInfo, other: ZoneInfo | None) -> bool:
    return other is not None and moment.astimezone(zone).utcoffset() != moment.astimezone(other).utcoffset()


def _full(moment: datetime, zone: ZoneInfo, language: str, time_text: str) -> str:
    pattern = shipped.phrases(language).moment if _base(language) in shipped.LANGUAGES else "{day}, {time}"
    return pattern.replace("{day}", day(moment, zone, language)).replace("{time}", time_text)


def _clock(moment: datetime, zone: ZoneInfo, language: str) -> str:
    """Return hours and minutes: 12 or 24 hours as Django knows of the language."""
    with translation.override(language):
        by_24 = any(letter in formats.get_format("TIME_FORMAT", language) for letter in "GH")
        return dateformat(moment.astimezone(zone), "H:i" if by_24 else "g:i A")


def _base(language: str) -> str:
    return language.partition("-")[0].lower()
