"""Rings again for every queue with overdue rows and holds what a dead worker left unknown: the bells' guarantee."""

from __future__ import annotations

from backend.apps.core import alerts, refusals
from backend.apps.core.models import Alert
from backend.apps.core.work import work_models
from backend.apps.interop import reconciling
from workers import beats
from workers.beats import beating
from workers.celery_app import app

STRANGER = "broker_stranger"
SENTENCE = (
    "Something that is no task of ours was put into the queues of the workers and turned away. Look who can reach the "
    "broker; the log of the workers says what kind of message it was."
)


@app.task(name="sweep.overdue")  # type: ignore[untyped-decorator]  # Celery has no types
def overdue() -> str:
    """Ring for all work that is due; safe to run twice."""
    with beating(beats.SWEEP):
        return beats.ring_overdue()


@app.task(name="sweep.hold_lost")  # type: ignore[untyped-decorator]  # Celery has no types
def hold_lost() -> str:
    """Hold rows whose worker died after it began to speak; the second run finds none left."""
    with beating("hold work whose outcome is unknown"):
        held = sum(model.work.hold_lost() for model in work_models())
        if held:
            reconciling.tell_broken_off()  # of a closing that is held nobody else tells
    return f"held {held}"


@app.task(name="sweep.catch_up")  # type: ignore[untyped-decorator]  # Celery has no types
def catch_up() -> str:
    """Do what the beat would have done and tell which entries are late; two at once ring for each of them once.

    The workers ring for this without a beat (`watchman`), so what is due is looked at all the same, alerts' mails too.
    """
    with beating("catch up"):
        told = beats.look()
        beats.ring_overdue()
    return told


@app.task(name="sweep.tell_stranger")  # type: ignore[untyped-decorator]  # Celery has no types
def tell_stranger() -> str:
    """Tell whoever is on call that the broker took a message from somebody else; told once while it is open.

    Each worker rings for it once in a few seconds, however many came: only its log has them all.
    """
    refusals.note(None, "broker", "no bell of ours")
    alerts.open_once(STRANGER, kind=STRANGER, severity=Alert.Severity.CRITICAL, sentence=SENTENCE)
    return "told"
