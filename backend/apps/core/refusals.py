"""Writes down who was refused at a door that asks for no sign-in; without it a forger would leave a line in a log.

The first call of a minute that is refused for a reason is a row of the audit log at once, all others of that minute
are one more row once it is over: a flood fills nothing, and the `calls` of the rows add up to how many there were.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.core.cache import cache
from django.db import Error, connection, transaction
from django.db.models.functions import Now

from backend.apps.core import audit
from backend.apps.core.models import AuditLog

ACTION, DOOR, REST = "refuse_call", "door", "rest"
LOOK_BACK = timedelta(hours=1)  # for minutes whose further calls were not added yet
ALONE = "calls refused"
_rows_of_a_minute: dict[tuple[str, str], str] = {}  # by door and reason, for while nobody counts

log = logging.getLogger(__name__)


def note(request: Any, door: str, reason: str) -> None:
    """Count a call refused at `door` ("twilio") for one of our own few reasons, which say nothing of the call.

    Raises nothing: who is refused is refused also where it cannot be written down.
    """
    minute = _minute(time.time())
    if not _is_first(door, reason, minute):
        return
    try:
        with transaction.atomic():
            _write(request, door, reason, minute, calls=1)
    except Error as error:
        log.error("a refusal was not written down: %s", type(error).__name__)
        _begin_anew(door, reason, minute)


def close() -> int:
    """Add for each minute that is over the calls beyond its first; return the rows. Two at once add them once.

    Raises:
        redis.RedisError: nobody counts; the next look adds them.
    """
    now = _minute(time.time())
    added: list[str] = []
    with transaction.atomic():
        if not _alone():
            return 0
        rows = AuditLog.objects.filter(action=ACTION, outcome=AuditLog.Outcome.REFUSED, timestamp__gt=Now() - LOOK_BACK)
        firsts: set[tuple[str, str, str]] = set()
        closed: set[tuple[str, str, str]] = set()
        for door, detail in rows.values_list("resource_id", "detail"):
            (closed if REST in detail else firsts).add((door, detail["reason"], detail["minute"]))
        for door, reason, minute in firsts - closed:
            key = _key(door, reason, minute)
            if minute != now and (further := int(cache.get(key) or 0) - 1) > 0:
                _write(None, door, reason, minute, calls=further, **{REST: True})
                added.append(key)
        transaction.on_commit(lambda: cache.delete_many(added))
    return len(added)


def _write(request: Any, door: str, reason: str, minute: str, *, calls: int, **more: Any) -> None:
    detail = {"reason": reason, "minute": minute, "calls": calls, **more}
    audit.record(request, ACTION, DOOR, door, outcome=AuditLog.Outcome.REFUSED, detail=detail)


def _is_first(door: str, reason: str, minute: str) -> bool:
    """Count a call; without Redis each process writes one row a minute and the others are told by the log alone."""
    key = _key(door, reason, minute)
    try:
        cache.add(key, 0, timeout=int(LOOK_BACK.total_seconds()))
        return bool(cache.incr(key) == 1)
    except (redis.RedisError, ValueError):  # ValueError: it was thrown out between the two commands
        is_first = _rows_of_a_minute.get((door, reason)) != minute
        _rows_of_a_minute[door, reason] = minute
        return is_first


def _begin_anew(door: str, reason: str, minute: str) -> None:
    """Let the next call be the first again, for of this one there is no row."""
    _rows_of_a_minute.pop((door, reason), None)
    try:
        cache.delete(_key(door, reason, minute))
    except redis.RedisError:
        log.info("a refusal without a row stays counted: Redis does not answer")


def _key(door: str, reason: str, minute: str) -> str:
    return f"refused:{minute}:{door}:{reason}".replace(" ", "_")


def _minute(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _alone() -> bool:
    """Whether no other process closes; none does then until our transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [ALONE])
        return bool(cursor.fetchone()[0])
