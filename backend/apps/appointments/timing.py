"""Works out when the reminders of one visit go out, and says why one does not: without it nobody could foretell it.

Pure: no clock, no database. Days are days of the clinic's wall clock (a visit at 9:00 is reminded of at 9:00, also
across a change of the clock); hours are absolute. Every moment that comes back is in UTC.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

DAY_MINUTES, HOUR_MINUTES = 1440, 60
SMS, UNLESS_CONFIRMED = "sms", "unless_confirmed"
REMINDER, ASK_TO_CONFIRM, SOON = "reminder", "ask_to_confirm", "soon"
LANES = ((timedelta(hours=12), 0), (timedelta(hours=48), 1), (timedelta(hours=96), 2))  # so near: that lane; else 3
EVENING, LAST_MINUTES, MORNING = timedelta(hours=1), timedelta(minutes=15), timedelta(minutes=30)
MOST_KNOWN = 10_000  # results kept to be used again, some megabytes
STILL_HELPS = timedelta(hours=2)  # a text that is moved later reaches the patient at least that long before the visit
DAY = timedelta(days=1)

Key = TypeVar("Key")
Value = TypeVar("Value")
Reach = Callable[[str], str | None]  # why nothing may be sent on a channel; None when it may

CONFIRMED = "The visit is confirmed."
PAST = "Its time had passed when this was planned."
NO_HOUR = "There is no hour at which a text may reach the patient before the visit."
TOO_CLOSE = "Another reminder of this visit is too close to it."


@dataclass(frozen=True, slots=True, eq=False)  # a rule is itself only: it is looked up a million times
class Rule:
    """One row of the table of reminders: how long before the visit, by which channel, in which words."""

    channel: str
    days: int = 0
    hours: int = 0
    order: int = 1
    wording: str = REMINDER
    condition: str = "always"
    minutes: int = field(init=False)
    usable_for: timedelta = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "minutes", self.days * DAY_MINUTES + self.hours * HOUR_MINUTES)
        object.__setattr__(self, "usable_for", usable_for(self.minutes))

    def send_at(self, start: datetime, zone: ZoneInfo) -> datetime:
        """Return the moment to send; a time the clock leaves out means as much later as the clock jumps.

        Of a time the clock shows twice it is the first.
        """
        if self.days:
            start = (start.astimezone(zone) - timedelta(days=self.days)).replace(fold=0)
        return start.astimezone(UTC) - timedelta(hours=self.hours)


Alternatives = tuple[Rule, ...]  # rules of one offset; the first that reaches the patient counts


def grouped(rules: Iterable[Rule]) -> tuple[Alternatives, ...]:
    """Return the rules offset by offset, the one nearest to the visit first, each in its own order."""
    rows = sorted(rules, key=attrgetter("minutes", "order"))
    return tuple(tuple(same) for _, same in groupby(rows, key=attrgetter("minutes")))


class Visit(NamedTuple):
    """What of a visit decides when it is reminded of. `key` names it: it spreads what would all leave at once."""

    key: object
    start: datetime
    confirmed: bool = False
    telemedicine: bool = False


class Planned(NamedTuple):
    """One message to send. It helps until `useful_until`; note: what somebody who looks at it may wonder about."""

    offset_minutes: int
    channel: str
    wording: str
    send_at: datetime
    useful_until: datetime
    lane: int
    note: str = ""


class Skipped(NamedTuple):
    """A reminder that is not sent, and the sentence why; `at`: when it would have been."""

    rule: Rule
    at: datetime
    reason: str


class Plan(NamedTuple):
    """Both nearest to the visit first."""

    planned: list[Planned]
    skipped: list[Skipped]


class Window(NamedTuple):
    """From when until when texts may reach somebody on one day."""

    opens: datetime
    closes: datetime


Around = tuple[Window | None, Window | None, Window | None]


class Hours:
    """When texts may reach somebody: between `opens_at` and `closes_at` by the clocks of all `zones` at once.

    More than one zone where nobody knows which of them is the patient's.
    """

    def __init__(self, opens_at: time, closes_at: time, zones: Sequence[ZoneInfo]) -> None:
        self.opens_at, self.closes_at, self.zones = opens_at, closes_at, tuple(zones)
        self._days: dict[date, Window] = {}
        self._around: dict[float, Around] = {}

    def of(self, day: date) -> Window:
        """Return the window of a day; it is empty (closes before it opens) if the zones lie too far apart."""
        if day not in self._days:
            opens = max(datetime.combine(day, self.opens_at, zone).astimezone(UTC) for zone in self.zones)
            closes = min(datetime.combine(day, self.closes_at, zone).astimezone(UTC) for zone in self.zones)
            self._days[day] = Window(opens, closes)
        return self._days[day]

    def around(self, at: datetime) -> Around:
        """Return the window `at` lies in, the last one that closed by then and the next one that opens after it."""
        return self._around.get(at.timestamp()) or _keep(self._around, at.timestamp(), self._look_around(at))

    def _look_around(self, at: datetime) -> Around:
        day = at.astimezone(self.zones[0]).date()
        today = self.of(day)
        if today.opens <= at < today.closes:
            return today, None, None
        near = [self.of(day + shift * DAY) for shift in (-2, -1, 0, 1, 2)]
        near = [one for one in near if one.opens < one.closes]
        inside = [one for one in near if one.opens <= at < one.closes]
        before = [one for one in near if one.closes <= at]
        after = [one for one in near if one.opens > at]
        return next(iter(inside), None), before[-1] if before else None, next(iter(after), None)

    def allow(self, at: datetime) -> bool:
        return self.around(at)[0] is not None


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms a visit is planned.

    zone: the clinic's; hours: the recipient's. carried: by offset, when what waits already was to leave: it is planned
    again although its time has come. Of two reminders within `least_gap` the one nearer to the visit stays.
    known: what `_alike` found.
    """

    zone: ZoneInfo
    hours: Hours
    least_gap: timedelta
    now: datetime
    reach: Reach
    carried: Mapping[int, datetime] = field(default_factory=dict)
    known: dict[object, Sequence[Planned | Skipped | None]] = field(default_factory=dict)


def plan(visit: Visit, rules: Sequence[Alternatives], terms: Terms) -> Plan:
    """Return what goes out about a visit and what does not; nothing at all about a visit that has begun."""
    found = Plan([], [])
    if visit.start <= terms.now:
        return found
    for alternatives, alike in zip(rules, _alike(visit, rules, terms), strict=True):
        one = alike or _first(visit, alternatives, terms)
        if isinstance(one, Planned) and _too_close(one, found.planned, terms.least_gap):
            one = Skipped(alternatives[0], one.send_at, TOO_CLOSE)
        if isinstance(one, Planned):
            found.planned.append(one)
        else:
            found.skipped.append(one)
    return found


def _too_close(one: Planned, others: Iterable[Planned], least_gap: timedelta) -> bool:
    return any(abs(one.send_at - other.send_at) < least_gap for other in others)


def _alike(visit: Visit, rules: Sequence[Alternatives], terms: Terms) -> Sequence[Planned | Skipped | None]:
    """Return, offset by offset, what is the same for every visit of this start; it is worked out once.

    None where a text lies out of hours, or may as it is carried: those each visit spreads by its own key.
    """
    if terms.carried:
        return [None] * len(rules)
    key = (visit.start.timestamp(), visit.confirmed, visit.telemedicine, tuple(rules))
    return terms.known.get(key) or _keep(
        terms.known, key, [None if _spreads(visit, one, terms) else _first(visit, one, terms) for one in rules]
    )


def _spreads(visit: Visit, alternatives: Alternatives, terms: Terms) -> bool:
    texts = [rule.send_at(visit.start, terms.zone) for rule in alternatives if rule.channel == SMS]
    return not all(map(terms.hours.allow, texts))


def _keep(known: dict[Key, Value], key: Key, value: Value) -> Value:
    if len(known) >= MOST_KNOWN:
        known.clear()
    known[key] = value
    return value


def _first(visit: Visit, alternatives: Alternatives, terms: Terms) -> Planned | Skipped:
    """Return the first of the alternatives that can be sent, or why none can."""
    reasons: list[str] = []
    for rule in alternatives:
        at = rule.send_at(visit.start, terms.zone)
        reason = _unwanted(visit, rule) or terms.reach(rule.channel)
        carried = terms.carried.get(rule.minutes)
        if reason is None and carried is not None and min(at, carried) <= terms.now:
            at = carried
        elif reason is None and at <= terms.now:
            reason = PAST
        if reason is None:
            placed = _placed(visit, rule, at, terms)
            if placed is not None:
                return _planned(visit, rule, at, placed, zone=terms.zone, why_not=" ".join(reasons))
            reason = NO_HOUR
        if reason not in reasons:
            reasons.append(reason)
    return Skipped(alternatives[0], alternatives[0].send_at(visit.start, terms.zone), " ".join(reasons))


def _unwanted(visit: Visit, rule: Rule) -> str | None:
    if rule.condition == UNLESS_CONFIRMED and visit.confirmed and not visit.telemedicine:
        return CONFIRMED
    return None


def _placed(visit: Visit, rule: Rule, at: datetime, terms: Terms) -> Window | None:
    """Return when it is sent and until when that is allowed; None when no hour is left.

    A text out of hours leaves the evening before, or when that has passed, in the morning: if it still helps then.
    """
    if rule.channel != SMS:
        return Window(at, visit.start)
    inside, before, after = terms.hours.around(at)
    if inside:
        return Window(at, inside.closes)
    if before and (earlier := max(before.opens, before.closes - _evening(visit, rule))) > terms.now:
        return Window(earlier, before.closes)
    if after and (later := min(after.opens + _morning(visit, rule), after.closes)) <= visit.start - STILL_HELPS:
        return Window(later, after.closes)
    return None


def _evening(visit: Visit, rule: Rule) -> timedelta:
    """Return how long before closing: spread over the last hour, with some minutes left for a queue."""
    return LAST_MINUTES + timedelta(seconds=_spread(visit, rule, EVENING - LAST_MINUTES))


def _morning(visit: Visit, rule: Rule) -> timedelta:
    return timedelta(seconds=_spread(visit, rule, MORNING))


def _spread(visit: Visit, rule: Rule, over: timedelta) -> int:
    """Return a number of seconds that is always the same for this visit and offset."""
    return zlib.crc32(f"{visit.key}:{rule.minutes}".encode()) % int(over.total_seconds())


def _planned(visit: Visit, rule: Rule, at: datetime, window: Window, *, zone: ZoneInfo, why_not: str) -> Planned:
    send_at = window.opens
    useful_until = min(send_at + rule.usable_for, window.closes, visit.start)
    note = " ".join(_notes(at, send_at, why_not)) if why_not or send_at != at else ""
    wording = _wording(visit, rule, send_at, zone)
    return Planned(rule.minutes, rule.channel, wording, send_at, useful_until, lane(visit.start - send_at), note)


def _wording(visit: Visit, rule: Rule, send_at: datetime, zone: ZoneInfo) -> str:
    """Return the words: nobody asks who has confirmed, nor speaks of the day itself on the evening before."""
    if visit.confirmed and rule.wording == ASK_TO_CONFIRM:
        return REMINDER
    if rule.wording == SOON and send_at.astimezone(zone).date() != visit.start.astimezone(zone).date():
        return REMINDER
    return rule.wording


def _notes(at: datetime, send_at: datetime, why_not: str) -> Iterator[str]:
    if why_not:
        yield f"Not on the first channel: {why_not}"
    if send_at != at:
        yield f"Moved {'earlier' if send_at < at else 'later'}, into the hours for texts."


def lane(ahead: timedelta) -> int:
    """Return which goes first when a sender's rate is short; ahead: how long before the visit it is sent."""
    for within, number in LANES:
        if ahead < within:
            return number
    return 3


def usable_for(offset_minutes: int) -> timedelta:
    """Return how long after its time a reminder still helps: a quarter of its offset, as 30 minutes for 2 hours."""
    return timedelta(minutes=offset_minutes / 4)
