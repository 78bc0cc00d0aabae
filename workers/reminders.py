"""Sends appointment reminders that are due: decide late, speak to one provider, write the outcome under the fence."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, F, Value, When
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.models import Clinic
from integrations.email import Email
from integrations.errors import Permanent
from integrations.sms import Sms
from workers import gateways
from workers.celery_app import app
from workers.runner import NotNeeded, drain

Status = AppointmentReminder.Status
Kind = AppointmentReminder.ReminderType


RISEN = Case(When(status=Status.PENDING, then=Value(Status.SENT)), default=F("status"))  # a callback may be first


@app.task(name="reminders.deliver")  # type: ignore[untyped-decorator]  # Celery has no types
def deliver_due() -> str:
    return drain(AppointmentReminder, deliver)


def deliver(reminder: AppointmentReminder) -> dict[str, Any]:
    """Send one reminder; return the fields to save with success.

    Never runs twice after it began to send: the runner notes the beginning first, and a row whose worker died after
    that is held for a person (`replay_safe` is False). The attempt id travels with the message for later adoption.
    """
    row = AppointmentReminder.objects.select_related("appointment__patient").filter(pk=reminder.pk).first()
    if row is None:
        raise not_wanted("The reminder was deleted.")
    if reason := services.why_not(row, now=timezone.now()):
        raise not_wanted(reason)
    recipient, external_id = _send(row, attempt_id=f"{reminder.pk}.{reminder.lease_no}")
    return {"status": RISEN, "sent_at": timezone.now(), "external_id": external_id, **recipient}


def not_wanted(reason: str) -> NotNeeded:
    return NotNeeded(reason, status=Status.SUPPRESSED, status_reason=reason[:200])


def _send(row: AppointmentReminder, *, attempt_id: str) -> tuple[dict[str, str], str]:
    """Hand the reminder to its channel's provider; return the recipient fields to keep and the provider's id."""
    patient, clinic = row.appointment.patient, Clinic.current()
    if row.reminder_type == Kind.SMS:
        text = Sms(to=patient.phone, body=sms_text(row, clinic), attempt_id=attempt_id)
        return {"recipient_phone": patient.phone}, gateways.sms().send(text)
    if row.reminder_type == Kind.EMAIL:
        mail = Email(
            to=patient.email,
            subject=f"Your appointment at {clinic.name}",
            text=email_text(row, clinic),
            attempt_id=attempt_id,
        )
        return {"recipient_email": patient.email}, gateways.email().send(mail)
    raise Permanent("no provider for this channel", code="reminder:channel")


def when(row: AppointmentReminder, clinic: Clinic) -> str:
    """Return the visit's moment in the clinic's own zone, as "Tue 3 Mar at 10:30 AM EST"."""
    start = row.appointment.appointment_datetime.astimezone(clinic.zone)
    return f"{start:%a} {start.day} {start:%b} at {start:%I:%M %p %Z}".replace(" at 0", " at ")


def sms_text(row: AppointmentReminder, clinic: Clinic) -> str:
    """Return the body: clinic, time and phone only, never the reason for the visit (45 CFR 164.502(b))."""
    call = f" Questions? Call {clinic.phone}." if clinic.phone else ""
    return f"{clinic.name}: your appointment is {when(row, clinic)}.{call} Reply STOP to opt out."


def email_text(row: AppointmentReminder, clinic: Clinic) -> str:
    """Return the plain text of the mail: the same minimum as the text message."""
    call = f"To change it, call us at {clinic.phone}." if clinic.phone else "To change it, please call us."
    return f"Hello,\n\nthis is a reminder of your appointment on {when(row, clinic)}.\n\n{call}\n\n{clinic.name}\n"
