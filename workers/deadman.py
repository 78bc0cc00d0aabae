"""Tells the dead-man address of a beat entry that it ran; without it all could stop and nobody would hear."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core.models import Heartbeat
from integrations.errors import IntegrationError
from integrations.http import Http

EVERY = timedelta(minutes=1)
TIMEOUT_S = (1.0, 2.0)  # to connect, to get a whole answer

log = logging.getLogger(__name__)


def tell(entry: str) -> threading.Thread | None:
    """Call the address of `entry`, where it has one, once a minute at most; the task never waits for it."""
    url = settings.DEADMAN.get(entry)
    if not url or not _is_my_turn(entry):
        return None
    thread = threading.Thread(target=_call, args=(entry, url), name="deadman", daemon=True)
    thread.start()
    return thread


def _is_my_turn(entry: str) -> bool:
    rested = Q(pinged_at=None) | Q(pinged_at__lt=Now() - EVERY)
    return bool(Heartbeat.objects.filter(rested, entry=entry).update(pinged_at=Now()))


def _call(entry: str, url: str) -> None:
    """A redirect is a failure like any other. What failed is told by its class: an address is a secret."""
    try:
        Http(partner="deadman", timeout_s=TIMEOUT_S).send("GET", url, headers={"Connection": "close"})
    except IntegrationError as error:
        log.warning("the dead-man address of %r was not told: %s", entry, type(error).__name__)
