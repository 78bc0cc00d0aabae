"""Notes when each entry of the beat schedule last ran, so that a beat that stopped is seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import F
from django.db.models.functions import Now

from backend.apps.core.models import Heartbeat


@contextmanager
def beating(entry: str) -> Iterator[None]:
    """Run the body, then note that `entry` (a key of beat_schedule.SCHEDULE) ran; a body that fails leaves no beat."""
    yield
    ran = Heartbeat.objects.filter(entry=entry).update(last_run_at=Now(), runs=F("runs") + 1)
    if not ran:
        Heartbeat.objects.update_or_create(entry=entry, defaults={"last_run_at": Now(), "runs": 1})
