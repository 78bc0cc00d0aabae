"""Earns people their paid days and tells whose review, of work or of an opened record, is due; else nobody looks."""

from __future__ import annotations

from functools import partial

from backend.apps.core.models import Clinic
from backend.apps.employees import balances, reviews_due
from backend.apps.patients import emergencies
from workers.beats import beating
from workers.celery_app import app
from workers.one_by_one import one_by_one


@app.task(name="staff.accrue")  # type: ignore[untyped-decorator]  # Celery has no types
def accrue() -> str:
    """Book the month's paid days and check all balances; safe to run twice, for a month is booked once."""
    with beating("time-off balances"):
        today = Clinic.today()
        try:
            counts = one_by_one("staff.accrue", list(balances.behind(today)), partial(balances.catch_up, today=today))
        finally:  # one bad file keeps no balance from being looked at
            wrong, _ = balances.check()
    entries = ", ".join(f"{kind} {many}" for kind, many in sorted(counts.items()))
    return f"{entries or 'nothing to book'}; {wrong} do not add up"


@app.task(name="staff.reviews_due")  # type: ignore[untyped-decorator]  # Celery has no types
def tell_reviews_due() -> str:
    """Tell of reviews that are due; safe to run twice, for each department is one alert."""
    with beating("reviews due"):
        told, cleared = reviews_due.watch()
    return f"told {told}, cleared {cleared}"


@app.task(name="staff.emergencies")  # type: ignore[untyped-decorator]  # Celery has no types
def tell_emergencies() -> str:
    """Tell of opened records that nobody reviewed in time; safe to run twice, for they are one alert."""
    with beating("emergency accesses to review"):
        late = emergencies.watch()
    return f"{late} wait too long"
