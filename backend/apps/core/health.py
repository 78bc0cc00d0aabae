"""Tells a supervisor whether the process lives and whether it can do its work."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from backend.apps.core import beats
from backend.config import production


@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process can answer at all."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers, else 503. A broker that is away or a late beat is told, and no more."""
    parts = {"database": _database(), "broker": broker()}
    parts["beat"] = _beat() if parts["database"] == "ok" else "unknown"
    if links := production.plain():
        parts["plaintext"] = ", ".join(links)
    ok = parts["database"] == "ok"
    return JsonResponse({"status": "ok" if ok else "unavailable", **parts}, status=200 if ok else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unavailable"
    return "ok"


def _beat() -> str:
    try:
        return beats.standing()
    except DatabaseError:
        return "unknown"


def broker() -> str:
    """Return "ok" or "unavailable", after a second at most."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        client.ping()
    except redis.RedisError:
        return "unavailable"
    finally:
        client.close()
    return "ok"
