"""Sends what patients are told: reminders of visits and the other messages, each kind from its own table."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from backend.apps.appointments import reminders
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core import dispatch
from backend.apps.messaging.models import PatientMessage
from backend.apps.patients import contacts
from backend.apps.patients.contacts import Points
from workers.beats import beating
from workers.celery_app import app
from workers.sending import send_due


@app.task(name="reminders.dispatch")  # type: ignore[untyped-decorator]  # Celery has no types
def ring_for_due() -> str:
    """Ring for each kind of message that has a due row; ringing twice wakes a worker in vain, no more."""
    with beating("dispatch due reminders"):
        late = [model for model in (AppointmentReminder, PatientMessage) if model.work.overdue().exists()]
        rang = sum(dispatch.send(model.task_name) for model in late)
    return f"rang for {rang} of {len(late)}"


@app.task(name="reminders.deliver")  # type: ignore[untyped-decorator]  # Celery has no types
def deliver_due() -> str:
    return send_due(AppointmentReminder, ("appointment__patient",), why_not_remind)


@app.task(name="reminders.deliver_messages")  # type: ignore[untyped-decorator]  # Celery has no types
def deliver_messages() -> str:
    return send_due(PatientMessage, ("patient",), why_not_tell)


def why_not_remind(reminder: Any, points: Points) -> str | None:
    return reminders.why_not(reminder, now=timezone.now(), points=points)


def why_not_tell(message: Any, points: Points) -> str | None:
    """Return why a message that is no reminder must not leave now; what its kind knows is asked in `composing.late`."""
    if message.useful_until is not None and timezone.now() > message.useful_until:
        return "It is too late for this message."
    if message.patient.is_deleted:
        return "The patient's record is gone."
    return contacts.why_unreachable(message.patient, message.channel, points)
