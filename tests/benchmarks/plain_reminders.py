"""Sends reminders in the plain way, to be compared with: a Celery task per reminder, the SDK's own client in it.

Run as `celery -A tests.benchmarks.plain_reminders worker`. What it leaves out (consent, caps, quiet hours, lost
answers) is in its favour.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import django
from celery import Celery
from django.conf import settings
from django.utils import timezone
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from backend.apps.appointments.models import AppointmentReminder  # noqa: E402  # after setup()
from backend.apps.core.models import Clinic  # noqa: E402  # kept together with the line above

app = Celery("plain")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(task_default_queue="plain", task_ignore_result=True)


class Elsewhere(TwilioHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's own transport as it is, but for the server."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        return super().request(method, settings.TWILIO_BASE_URL + target, *args, **kwargs)


@app.task(name="plain.remind")  # type: ignore[untyped-decorator]  # Celery has no types
def remind(reminder_id: str) -> None:
    """Send one reminder; a task of its own for each, as tutorials do it."""
    reminder = AppointmentReminder.objects.select_related("appointment__patient").get(pk=reminder_id)
    visit, clinic = reminder.appointment, Clinic.current()
    if visit.status not in ("scheduled", "confirmed"):
        return
    client = Client(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, http_client=Elsewhere())
    start = visit.appointment_datetime.astimezone(clinic.zone)
    message = client.messages.create(
        to=visit.patient.phone,
        from_=settings.TWILIO_FROM,
        body=f"{clinic.name}: your appointment is {start:%a %d %b at %I:%M %p}. Reply STOP to opt out.",
    )
    reminder.status, reminder.external_id, reminder.sent_at = "sent", message.sid, timezone.now()
    reminder.work_state = "done"
    reminder.save()
