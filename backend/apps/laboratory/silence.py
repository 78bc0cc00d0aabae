"""Notices when a feed has gone quiet; without this a laboratory whose line is cut would look like one without results.

The rule. From the eight weeks up to a feed's last message we learn, for each hour of the week in the feed's own zone,
its share: in which part of the weeks that hour had a message. The shares are a clock of busy hours: an hour that always
has messages counts one, one that never has counts nothing, so nights, weekends and closed days pass in no time. On that
clock we measure every past gap between messages. The third longest is the usual one (a holiday and an outage are left
out). A feed is silent when nothing has come for twice its usual gap, and for a quarter of a busy hour at least.

A feed with a fixed `silence_minutes` is judged by that alone, on the clock on the wall. A feed that has been here for
less than two weeks, or has sent too little to learn from, is judged by nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.laboratory.models import FeedRhythm, InboundMessage, LabFeed

KIND = "lab_feed_silent"
WINDOW = timedelta(weeks=8)
NEW = timedelta(weeks=2)
FRESH = timedelta(days=1)  # how long a learned rhythm is used
FEWEST = 8  # messages, below which nothing is learned
LEFT_OUT = 2  # gaps, the longest ones
LONGEST_GAPS = 300  # of the window, by the clock on the wall: more than the nights and closed days it can hold
FACTOR, LEAST = 2.0, 0.25  # times the usual gap; busy hours
HOURS = 7 * 24
HOUR = timedelta(hours=1)

Gap = tuple[datetime, datetime]

# One pass over the index (feed, received_at): how many, in which weeks each hour of the week had any, the longest gaps.
LEARN = """
WITH heard AS (
    SELECT received_at, received_at AT TIME ZONE %(zone)s AS here,
           lag(received_at) OVER (ORDER BY received_at) AS before
    FROM laboratory_inboundmessage WHERE feed_id = %(feed)s AND received_at > %(since)s AND received_at <= %(until)s
), hours AS (
    SELECT (extract(isodow FROM here)::int - 1) * 24 + extract(hour FROM here)::int AS hour,
           count(DISTINCT here::date) AS weeks, count(*) AS messages
    FROM heard GROUP BY 1
), gaps AS (
    SELECT before, received_at FROM heard WHERE before IS NOT NULL ORDER BY received_at - before DESC LIMIT %(gaps)s
)
SELECT (SELECT jsonb_object_agg(hour, weeks) FROM hours), (SELECT sum(messages) FROM hours),
       (SELECT min(received_at) FROM heard),
       (SELECT jsonb_agg(jsonb_build_array(extract(epoch FROM before), extract(epoch FROM received_at))) FROM gaps)
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a feed's window holds. weeks: by hour of the week, in how many weeks it had messages."""

    weeks: dict[int, int]
    messages: int
    first: datetime | None
    gaps: tuple[Gap, ...]


def watch(now: datetime | None = None) -> tuple[int, int]:
    """Tell once of each feed that is silent, and clear those that speak again; return (silent, cleared)."""
    at = now or timezone.now()
    silent = {cause(feed): feed for feed in LabFeed.objects.filter(is_active=True) if is_silent(feed, at)}
    cleared = alerts.clear(*(alerts.open_causes(KIND) - set(silent)))
    for name, feed in silent.items():
        if not alerts.dismissed(name, since=last_heard(feed) or feed.created_at):
            sentence = f"Nothing has come from the feed {feed.name} for longer than usual."
            alerts.open_once(name, kind=KIND, subject=feed, sentence=sentence)
    return len(silent), cleared


def cause(feed: LabFeed) -> str:
    return f"feed silent:{feed.pk}"


def is_silent(feed: LabFeed, now: datetime) -> bool:
    """Whether nothing has come for longer than this feed's fixed or usual time."""
    last = last_heard(feed)
    if feed.silence_minutes is not None:
        return now - (last or feed.created_at) > timedelta(minutes=feed.silence_minutes)
    if last is None:
        return False
    rhythm = known(feed, last, now)
    if rhythm.usual_gap is None:
        return False
    return busy_hours(rhythm.shares, last, now, feed.zone) > max(FACTOR * rhythm.usual_gap, LEAST)


def last_heard(feed: LabFeed) -> datetime | None:
    """Return when the last message came; any message is a sign of life, whatever became of it."""
    rows = InboundMessage.all_objects.filter(feed=feed).order_by("-received_at")
    return rows.values_list("received_at", flat=True).first()


def known(feed: LabFeed, last: datetime, now: datetime) -> FeedRhythm:
    """Return the feed's rhythm, learned again once a day; also where the clock went back, as in a restored database."""
    rhythm = FeedRhythm.objects.filter(feed=feed).first()
    if rhythm is not None and now - FRESH < rhythm.learned_at <= now:
        return rhythm
    return learn(feed, last, now)


def learn(feed: LabFeed, last: datetime, now: datetime) -> FeedRhythm:
    """Learn the rhythm from the eight weeks up to the last message, so that a long silence does not become the rule."""
    found = heard(feed, last)
    shares, usual = [0.0] * HOURS, None
    if found.first and last - found.first >= NEW and found.messages >= FEWEST:
        weeks = max(1.0, (last - found.first) / timedelta(weeks=1))
        shares = [round(min(1.0, found.weeks.get(hour, 0) / weeks), 4) for hour in range(HOURS)]
        usual = usual_gap(shares, found.gaps, feed.zone)
    fields = {"shares": shares, "usual_gap": usual, "messages": found.messages, "learned_at": now}
    rhythm, _ = FeedRhythm.objects.update_or_create(feed=feed, defaults=fields)
    return rhythm


def heard(feed: LabFeed, until: datetime) -> Heard:
    """Return what the feed sent in the eight weeks up to `until`; one query, whatever the number of messages."""
    values: dict[str, Any] = {
        "zone": feed.zone.key,
        "feed": feed.pk,
        "since": until - WINDOW,
        "until": until,
        "gaps": LONGEST_GAPS,
    }
    with connection.cursor() as cursor:
        cursor.execute(LEARN, values)
        weeks, messages, first, gaps = cursor.fetchone()
    by_hour = {int(hour): int(count) for hour, count in json.loads(weeks or "{}").items()}
    pairs = [(_moment(start), _moment(end)) for start, end in json.loads(gaps or "[]")]
    return Heard(by_hour, int(messages or 0), first, tuple(pairs))


def usual_gap(shares: list[float], gaps: Iterable[Gap], zone: ZoneInfo) -> float | None:
    """Return the third longest gap in busy hours; None when there are too few to tell."""
    lengths = sorted((busy_hours(shares, start, end, zone) for start, end in gaps), reverse=True)
    return round(lengths[LEFT_OUT], 4) if len(lengths) > LEFT_OUT else None


def busy_hours(shares: list[float], start: datetime, end: datetime, zone: ZoneInfo) -> float:
    """Return how many busy hours lie between two moments; whole weeks count at once."""
    weeks, _ = divmod(max(end - start, timedelta()), timedelta(weeks=1))
    rest = start + timedelta(weeks=weeks)
    return weeks * sum(shares) + sum(shares[hour] * part for hour, part in _hours(rest, end, zone))


def _hours(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[int, float]]:
    """Yield each hour of the week between two moments and which part of it lies between them.

    Hours are walked in UTC and named by the clock of the zone, so that a day of 23 or 25 hours has as many.
    """
    at = start.astimezone(UTC)
    while at < end:
        here = at.astimezone(zone)
        left = HOUR - timedelta(minutes=here.minute, seconds=here.second, microseconds=here.microsecond)
        upto = min(at + left, end)
        yield here.weekday() * 24 + here.hour, (upto - at) / HOUR
        at = upto.astimezone(UTC)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
