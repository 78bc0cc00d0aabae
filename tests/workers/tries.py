"""Makes messages in every state a send can be cut off in, and what providers report about them."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.sealed import written
from backend.apps.core.work import WorkState
from backend.apps.messaging.models import MessageStatus, OutgoingMessage, ProviderEvent, StaffTask
from integrations.sms import body_sha256
from tests.support.clocks import zone_at
from tests.workers.rows import stored
from workers import gateways

BODY = "Elm Street Clinic: your appointment is Tue 3 Mar at 10:30 AM EST."
HOUR = timedelta(hours=1)  # before the transaction of any test began
_numbers = itertools.count(1)


def number() -> str:
    """Return a number no other call returns."""
    return f"+1415{next(_numbers):07}"


def waiting(kind: str = "sms", **over: Any) -> AppointmentReminder:
    """Save a reminder that is due, for a visit tomorrow, to a patient with a number and a mailbox of their own."""
    phone = number()
    patient = make_reachable_patient(phone=phone, email=f"{phone[1:]}@example.org", time_zone=zone_at())
    visit = make_appointment(patient=patient, appointment_datetime=timezone.now() + timedelta(hours=23, minutes=50))
    fields = {"visit_starts_at": visit.appointment_datetime, "useful_until": timezone.now() + timedelta(hours=20)}
    return make_reminder(appointment=visit, reminder_type=kind, **{**fields, "due_at": timezone.now(), **over})


def begun(kind: str = "sms", *, ago_s: float = 30.0, lease_no: int = 1, **over: Any) -> AppointmentReminder:
    """Save a reminder whose worker was about to speak to the provider, `ago_s` ago, and holds it still."""
    at = timezone.now() - timedelta(seconds=ago_s)
    row = waiting(kind)
    to = {"sms": {"recipient_phone": row.patient.phone}, "email": {"recipient_email": row.patient.email}}[kind]
    held = {"work_state": WorkState.RUNNING, "leased_until": at + timedelta(seconds=360), "begun_at": at}
    noted = {"provider": {"sms": "twilio", "email": "sendgrid"}[kind], "body_sha256": body_sha256(BODY), **to}
    noted["sender"] = gateways.account(kind)
    changes = {**held, **noted, "lease_no": lease_no, "attempts": lease_no, **over}
    plain = {name: changes.pop(name) for name in ("recipient_phone", "recipient_email") if name in changes}
    AppointmentReminder.objects.filter(pk=row.pk).update(**changes, **written(AppointmentReminder, row.pk, **plain))
    row.refresh_from_db()
    return row


def uncertain(kind: str = "sms", *, ago_s: float = 30.0, **over: Any) -> AppointmentReminder:
    """Save a reminder whose provider did not answer."""
    held = {"work_state": WorkState.HELD, "leased_until": None, "uncertain_since": timezone.now()}
    return begun(kind, ago_s=ago_s, **{**held, **over})


def sent(kind: str = "sms", message_id: str = "SM1", **over: Any) -> AppointmentReminder:
    """Save a reminder the provider took."""
    done = {"work_state": WorkState.DONE, "leased_until": None, "status": MessageStatus.SENT}
    return begun(kind, **{**done, "sent_at": timezone.now(), "external_id": message_id, **over})


def told(row: OutgoingMessage | None, word: str, **over: Any) -> ProviderEvent:
    """Save what the provider reports about the first try of `row`, as a webhook leaves it."""
    is_mail = row is not None and row.channel == "email"
    place, payload = next(_numbers), over.get("payload")
    fields = {
        "provider": "sendgrid" if is_mail else "twilio",
        "kind": "event" if is_mail else "status",
        "attempt_id": f"{row.pk}.1" if row else "",
        "message_id": "SM1",
        "provider_status": word,
        "dedupe_key": f"event:{place}",
        "due_at": timezone.now() - HOUR,
        "mailbox": payload.get("email", "") if isinstance(payload, dict) else "",
    }
    return ProviderEvent.objects.create(**{**fields, **over})


def again(event: ProviderEvent) -> None:
    """Let an event be due now."""
    ProviderEvent.objects.filter(pk=event.pk).update(due_at=timezone.now() - HOUR)


def states(row: Any) -> tuple[str, str]:
    after = stored(row)
    return after.status, after.work_state


def instead_of(row: Any) -> list[str]:
    """Return how the patient is told now: by messages on other channels, by calls."""
    others = type(row).objects.filter(fallback_of=row, work_state="waiting")
    calls = StaffTask.objects.filter(kind="call", subject_id=row.appointment_id)
    return [*others.values_list("reminder_type", flat=True), *calls.values_list("kind", flat=True)]
