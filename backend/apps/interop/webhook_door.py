"""What all webhooks have in common: who is let in, what is kept and answered; without it each had a lock of its own."""

from __future__ import annotations

import functools
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from django.core.cache import cache
from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from backend.apps.core import alerts, dispatch, refusals
from backend.apps.messaging.models import ProviderEvent
from integrations.errors import Permanent

Take = Callable[[HttpRequest, bytes], HttpResponse]
BROKEN = (Permanent, SuspiciousOperation, UnreadablePostError, ValueError, RecursionError)
ALERT_AT = 10  # refusals within an hour; a scanner knocks once, wrong keys refuse every call
HOUR_S = 3600
LONGEST = 4000  # characters of one value that are kept

log = logging.getLogger(__name__)


class Refused(Exception):
    """This call is not the provider's, or not for us; the reason is ours and says nothing of the call."""


def webhook(provider: str, *, most_bytes: int) -> Callable[[Take], Callable[[HttpRequest], HttpResponse]]:
    """Make a view of `take`, which gets the body and raises Refused; whatever is wrong is answered by 403 and no word.

    A database that is away is 503: the provider tries again. The error's own words may hold the row, so none is logged.
    """

    def wrap(take: Take) -> Callable[[HttpRequest], HttpResponse]:
        @csrf_exempt
        @require_POST
        @functools.wraps(take)
        def view(request: HttpRequest) -> HttpResponse:
            try:
                return take(request, _body(request, most_bytes))
            except Refused as refusal:
                return _refuse(request, provider, str(refusal))
            except BROKEN as error:
                return _refuse(request, provider, f"unreadable ({type(error).__name__})")
            except DatabaseError as error:
                log.error("a call of %s was not kept: %s", provider, type(error).__name__)
                return HttpResponse(status=503)

        return view  # type: ignore[no-any-return]  # Django's decorators have no types

    return wrap


def keep(events: Sequence[ProviderEvent]) -> None:
    """Write down what was reported, each once, in one statement, and ring the worker that applies it."""
    ProviderEvent.objects.bulk_create(events, ignore_conflicts=True)
    dispatch.ring(ProviderEvent.task_name)


def storable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a call as the database takes them: flat, bounded, without NUL and half characters."""
    return {clean(name, 100): _value(value) for name, value in fields.items()}


def clean(text: str, most: int = LONGEST) -> str:
    """Return a text that the database takes, `most` characters at most."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:most]


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return clean(json.dumps(value))


def _body(request: HttpRequest, most: int) -> bytes:
    """Return the body, of which no more is read than may be kept: a proxy need not say how long it is."""
    told = request.META.get("CONTENT_LENGTH") or "0"
    if not told.isdigit() or int(told) > most or len(body := request.read(most + 1)) > most:
        raise Refused("too large")
    return body


def _refuse(request: HttpRequest, provider: str, why: str) -> HttpResponse:
    """Write down a refusal; tell the operator when they are many, for then our keys are wrong or somebody forges."""
    log.warning("a call in the name of %s was refused: %s", provider, why)
    refusals.note(request, provider, why)
    if _count(provider) == ALERT_AT:
        try:
            _tell(provider)
        except DatabaseError as error:
            log.error("nobody was told of calls that were refused: %s", type(error).__name__)
    return HttpResponse(status=403)


def _tell(provider: str) -> None:
    alerts.open_once(
        f"webhook refused:{provider}",
        kind="webhook_refused",
        sentence=f"{ALERT_AT} calls in {provider}'s name were refused within an hour: wrong keys, or a forger.",
    )


def _count(provider: str) -> int:
    key = f"webhook-refused:{provider}"
    try:
        cache.add(key, 0, timeout=HOUR_S)
        return int(cache.incr(key))
    except (redis.RedisError, ValueError):  # ValueError: the hour has just ended
        return 0
