"""Clears the alerts of exceptions that are over; without it an operator would see one that ended days ago."""

from __future__ import annotations

from backend.apps.credentials import overrides
from workers.beats import beating
from workers.celery_app import app


@app.task(name="credentials.clear_overrides")  # type: ignore[untyped-decorator]  # Celery has no types
def clear_overrides() -> str:
    """Look at the exceptions told of only: what is over is over however late this looks, and twice finds nothing."""
    with beating("exceptions that ended"):
        cleared = overrides.clear_ended()
    return f"{cleared} cleared"
