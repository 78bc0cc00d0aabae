"""Plans the visits that nobody could plan when their patient changed; without it they would stay without reminders."""

from __future__ import annotations

from typing import Any

from backend.apps.appointments import reminders
from backend.apps.appointments.models import ReplanRequest
from workers.celery_app import app
from workers.runner import drain


@app.task(name="reminders.replan")  # type: ignore[untyped-decorator]  # Celery has no types
def replan_due() -> str:
    return drain(ReplanRequest, replan)


def replan(request: ReplanRequest) -> dict[str, Any]:
    """Wait for whoever holds the visit and plan it as it then is; return nothing to save. Safe to run twice."""
    reminders.replan(request.appointment)
    return {}
