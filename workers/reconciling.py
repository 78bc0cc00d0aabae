"""Closes the books of every part each day, and when a person asks; else only who runs the command would see a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.apps.core.models import ReconcileRun
from backend.apps.interop import reconciling
from workers.beats import beating
from workers.celery_app import app
from workers.runner import drain

PARTS = reconciling.PARTS


@app.task(name="reconcile.daily")  # type: ignore[untyped-decorator]  # Celery has no types
def daily() -> str:
    """Put one run of each part in line; safe to run twice, for a part is closed once a day."""
    with beating("reconcile"):
        asked = reconciling.close_daily()
        reconciling.tell_of_the_rest()
    return f"{asked} in line"


@app.task(name="reconcile.run")  # type: ignore[untyped-decorator]  # Celery has no types
def run_due() -> str:
    """Close what is in line, one at a time, so that another worker may take the next one."""
    try:
        return drain(ReconcileRun, close, batch=1)
    finally:
        reconciling.tell_of_the_rest()


def close(run: ReconcileRun) -> Mapping[str, Any]:
    """Close the books of one part. Safe to run twice: it only reads, and opens or clears one alert of its part."""
    return reconciling.close(run)
