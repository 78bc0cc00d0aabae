"""Rings again for every queue with overdue rows and holds what a dead worker left unknown: the bells' guarantee."""

from __future__ import annotations

from backend.apps.core import dispatch
from backend.apps.core.work import work_models
from workers import beats
from workers.beats import beating
from workers.celery_app import app


@app.task(name="sweep.overdue")  # type: ignore[untyped-decorator]  # Celery has no types
def overdue() -> str:
    """Ring once for each kind of work that has a row to look at; ringing twice wakes a worker in vain, no more."""
    with beating("sweep overdue rows"):
        late = [model for model in work_models() if model.work.overdue().exists()]
        rang = sum(dispatch.send(model.task_name) for model in late)
    return f"rang for {rang} of {len(late)}"


@app.task(name="sweep.hold_lost")  # type: ignore[untyped-decorator]  # Celery has no types
def hold_lost() -> str:
    """Hold rows whose worker died after it began to speak; the second run finds none left."""
    with beating("hold work whose outcome is unknown"):
        held = sum(model.work.hold_lost() for model in work_models())
    return f"held {held}"


@app.task(name="sweep.catch_up")  # type: ignore[untyped-decorator]  # Celery has no types
def catch_up() -> str:
    """Ring for windows of the schedule that were missed and tell which entries are late; two at once ring once."""
    with beating("catch up"):
        return beats.look()
