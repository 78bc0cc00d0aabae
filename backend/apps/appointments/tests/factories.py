"""Makes appointments and reminders for tests; each at an hour of its own, so that none overlap by accident."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderPolicy
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient

_hours = itertools.count(1)
_offsets = itertools.count(20)


def free_time() -> datetime:
    """Return a time some weeks ahead that no other call returns."""
    today = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=20, hours=next(_hours))


def make_appointment(**over: Any) -> Appointment:
    """Save an appointment as it is, without the rules of booking and without reminders."""
    over.setdefault("patient", None)
    over.setdefault("doctor", None)
    fields = {
        **over,
        "patient": over["patient"] or make_patient(),
        "doctor": over["doctor"] or make_doctor(),
        "appointment_datetime": over.get("appointment_datetime") or free_time(),
    }
    if fields.get("status") == Appointment.Status.CANCELLED:
        fields.setdefault("cancelled_at", timezone.now())
    return Appointment.objects.create(**fields)


def make_reachable_patient(**over: Any) -> Any:
    """Save a patient who agreed to e-mail and text messages."""
    return make_patient(**{"sms_consent": True, "email_consent": True, **over})


def make_reminder(**over: Any) -> AppointmentReminder:
    """Save a waiting text message 24 hours ahead of its appointment."""
    over.setdefault("appointment", None)
    appointment = over.pop("appointment") or make_appointment(patient=make_reachable_patient())
    fields = {
        "appointment_version": appointment.version,
        "visit_starts_at": appointment.appointment_datetime,
        "offset_minutes": 1440,
        "reminder_type": AppointmentReminder.ReminderType.SMS,
        "scheduled_send_time": appointment.appointment_datetime - timedelta(hours=24),
        **over,
    }
    fields.setdefault("due_at", fields["scheduled_send_time"])
    key = f"{fields['appointment_version']}:{fields['offset_minutes']}:{fields['reminder_type']}"
    fields.setdefault("dedupe_key", f"reminder:{appointment.pk}:{key}")
    return AppointmentReminder.objects.create(appointment=appointment, **fields)


def make_reminder_policy(**over: Any) -> ReminderPolicy:
    """Save a reminder by e-mail for visits of a procedure, at an offset no other call takes."""
    fields = {"appointment_type": "procedure", "offset_hours": next(_offsets), "channel": "email", **over}
    return ReminderPolicy.objects.create(**fields)
