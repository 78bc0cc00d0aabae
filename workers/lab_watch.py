"""Looks for late results and silent feeds; without it nobody would notice what does not come."""

from __future__ import annotations

from backend.apps.laboratory import overdue, silence
from workers.beats import beating
from workers.celery_app import app


@app.task(name="lab_watch.overdue_results")  # type: ignore[untyped-decorator]  # Celery has no types
def overdue_results() -> str:
    """Tell of late orders; safe to run twice, for each late order is one alert."""
    with beating("overdue results"):
        opened, cleared = overdue.watch()
    return f"opened {opened}, cleared {cleared}"


@app.task(name="lab_watch.feed_silence")  # type: ignore[untyped-decorator]  # Celery has no types
def feed_silence() -> str:
    """Tell of silent feeds; safe to run twice, and after hours of downtime it tells once."""
    with beating("feed silence"):
        silent, cleared = silence.watch()
    return f"{silent} silent, cleared {cleared}"
