"""Marks the visits nobody came to; without it a missed visit would stay booked until somebody remembers it."""

from __future__ import annotations

from typing import Any

from backend.apps.appointments import missed
from workers.beats import beating
from workers.celery_app import app
from workers.one_by_one import one_by_one

AT_ONCE = 5000  # visits of a run; the next goes on


@app.task(name="visits.mark_no_shows")  # type: ignore[untyped-decorator]  # Celery has no types
def mark_no_shows() -> str:
    """Mark each missed visit; safe to run twice, and after days of downtime a patient is written to once at most."""
    with beating("mark no-shows"):
        counts = one_by_one("visits.mark_no_shows", list(missed.due()[:AT_ONCE]), _mark)
    return f"marked {counts['marked']}"


def _mark(pk: Any) -> dict[str, int]:
    return {"marked": int(missed.mark(pk))}
