"""Looks for what does not happen to claims and money; without it nobody would notice an answer that is missing."""

from __future__ import annotations

from backend.apps.insurance import watching
from workers.beats import beating
from workers.celery_app import app


@app.task(name="claims_watch.look")  # type: ignore[untyped-decorator]  # Celery has no types
def look() -> str:
    """Tell of silent files and partners; safe to run twice, for each cause is one alert."""
    with beating("claim files silent"):
        told = watching.look()
    return f"{told} open"


@app.task(name="claims_watch.look_daily")  # type: ignore[untyped-decorator]  # Celery has no types
def look_daily() -> str:
    """Tell of claims and money that wait too long; safe to run twice, for each cause is one alert."""
    with beating("claims silent too long"):
        told = watching.look_daily()
    return f"{told} open"
