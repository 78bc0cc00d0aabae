"""How many texts one number gets; without it a family would get more in a day than the health care exemption allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Q

from backend.apps.core.sealed import digests
from backend.apps.core.work import WorkState
from backend.apps.messaging import outgoing
from backend.apps.messaging.models import ContactRules, MessageKind

WEEK_DAYS = 7
UNCOUNTED = (MessageKind.CHOOSE,)  # answers what the patient has just texted: on demand, so the exemption is not used
ON_ITS_WAY = Q(sent_at__isnull=True, work_state__in=(WorkState.RUNNING, WorkState.HELD))
TODAY = "Enough texts went to this number today."
THIS_WEEK = "Enough texts went to this number this week."


def lock(numbers: Iterable[str]) -> None:
    """Let nobody else count or write texts to these numbers until our transaction ends; all lock in one order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('texts to ' || number, 0)) FROM unnest(%s::text[]) number",
            [sorted(set(numbers))],
        )


def texts_to(numbers: Collection[str], *, since: datetime, but: Sequence[Any]) -> dict[str, list[datetime]]:
    """Return by number when texts went there since, or began to; but: keys of messages that do not count.

    A text that told what other messages had to say (a digest) is one. Call `lock` first.

    Source: 47 CFR 64.1200(a)(9)(iv)(F): one message a day, three a week to each patient.
    """
    found = defaultdict[str, list[datetime]](list)
    for model in outgoing.kinds():
        rows = model.all_objects.filter(
            Q(sent_at__gte=since) | ON_ITS_WAY & Q(begun_at__gte=since),
            model.sent_to(*numbers),
            digest_of__isnull=True,
        )
        counted = rows.exclude(pk__in=but).exclude(wording__in=UNCOUNTED)
        known = {digest: one for one in numbers for digest in digests(model, "recipient_phone_index", one)}
        for digest, sent_at, begun_at in counted.values_list("recipient_phone_index", "sent_at", "begun_at"):
            found[known[bytes(digest)]] += filter(None, [sent_at or begun_at])
    return found


def why_not(earlier: Iterable[datetime], *, now: datetime, zone: ZoneInfo, rules: ContactRules) -> str | None:
    """Return why no text may go there now, as a sentence; days are those of the recipient's calendar."""
    moments = list(earlier)
    if sum(moment >= begin_of_day(now, zone) for moment in moments) >= rules.texts_a_day:
        return TODAY
    if sum(moment >= begin_of_week(now, zone) for moment in moments) >= rules.texts_a_week:
        return THIS_WEEK
    return None


def begin_of_day(now: datetime, zone: ZoneInfo, *, days: int = 0) -> datetime:
    """Return when the recipient's day began, or one `days` later begins."""
    here = now.astimezone(zone) + timedelta(days=days)
    return here.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def begin_of_week(now: datetime, zone: ZoneInfo) -> datetime:
    """Return when the first of the seven days began of which today is the last."""
    return begin_of_day(now, zone, days=1 - WEEK_DAYS)
