"""Expires prescriptions and tells of refills nobody answers; without it a pharmacist would find out at the counter."""

from __future__ import annotations

from backend.apps.prescriptions import expiry
from workers.beats import beating
from workers.celery_app import app


@app.task(name="prescriptions.expire")  # type: ignore[untyped-decorator]  # Celery has no types
def expire() -> str:
    """Expire what is past its last day by the clinic's calendar; safe to run twice, for then nothing is due."""
    with beating("expire prescriptions"):
        expired = expiry.expire_due()
    return f"expired {expired}"


@app.task(name="prescriptions.refills_waiting")  # type: ignore[untyped-decorator]  # Celery has no types
def refills_waiting() -> str:
    """Tell of requests that wait too long; safe to run twice, for each prescriber is one alert."""
    with beating("refill requests waiting"):
        told, cleared = expiry.watch()
    return f"told {told}, cleared {cleared}"
