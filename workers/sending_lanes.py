"""Shares a sender's scarce tokens among kinds of messages; without it a morning's reminders would hold up an offer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Count
from django.db.models.functions import Now

from backend.apps.core.work import WorkState
from backend.apps.messaging import outgoing
from backend.apps.messaging.models import OutgoingMessage


def lease(model: type[OutgoingMessage], channel: str, tokens: int, *, limit: int) -> list[Any]:
    """Lease at most `tokens` due messages of one kind and channel, lane by lane.

    When they are fewer than `limit`, what other kinds have due in earlier lanes keeps its tokens, and half of what is
    left is theirs in the same lane.
    """
    only = f"{model.channel_column} = '{channel}'"
    if tokens >= limit:
        return model.work.lease(tokens, only=only)
    rows, others = list[Any](), due_elsewhere(model, channel)
    for lane in model.lanes:
        left = tokens - len(rows) - sum(count for other, count in others.items() if other < lane)
        mine = left - min(others[lane], left // 2)
        rows += model.work.lease(mine, only=f"{only} AND lane = {lane}") if mine > 0 else []
    return rows


def due_elsewhere(model: type[OutgoingMessage], channel: str) -> Counter[int]:
    """Return by lane how many messages of the other kinds are due on this channel."""
    found = Counter[int]()
    for other in outgoing.kinds():
        if other is not model:
            due = other.work.filter(work_state=WorkState.WAITING, due_at__lte=Now(), **{other.channel_column: channel})
            found.update(dict(due.order_by().values_list("lane").annotate(Count("pk"))))
    return found
