"""Makes texts and mails that are due, for patients with numbers of their own, and says what a provider got."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder, AppointmentType, ReminderPolicy
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.appointments.tests.waitlist_factories import make_recall
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.messaging.models import PatientMessage
from backend.apps.patients.models import Patient
from tests.support.clocks import zone_at

_numbers = itertools.count(100)
_minutes = itertools.count(1)
_types = itertools.cycle(AppointmentType.values)


def number() -> str:
    """Return a phone number no other test has."""
    return f"+1415555{next(_numbers):04d}"


def patient(**over: Any) -> Patient:
    """Save a patient who agreed to texts and mails, and for whom it is noon: no day ends while a test runs."""
    phone = over.pop("phone", None) or number()
    over.setdefault("time_zone", zone_at())
    made: Patient = make_reachable_patient(phone=phone, email=over.pop("email", f"p{phone[1:]}@example.org"), **over)
    return made


def due_text(who: Patient | None = None, *, doctor: Doctor | None = None, **over: Any) -> AppointmentReminder:
    """Save a text that is due, for a visit of tomorrow that no other overlaps."""
    start = timezone.now() + timedelta(hours=23, minutes=40) - timedelta(minutes=6 * (next(_minutes) % 100))
    visit = make_appointment(
        patient=who or patient(), doctor=doctor or make_doctor(), appointment_datetime=start, duration_minutes=5
    )
    over.setdefault("scheduled_send_time", timezone.now() - timedelta(minutes=1))
    over.setdefault("useful_until", timezone.now() + timedelta(hours=4))
    return make_reminder(appointment=visit, **over)


def due_message(who: Patient | None = None, **over: Any) -> PatientMessage:
    """Save another message that is due, by default of a recall."""
    now, who = timezone.now(), who or patient()
    if over.get("wording", "recall") == "recall":
        over["subject_id"] = make_recall(patient=who, status="reminded", appointment_type=next(_types)).pk
    fields = {"channel": "sms", "wording": "recall", "scheduled_send_time": now, "due_at": now - timedelta(minutes=1)}
    fields |= {"useful_until": now + timedelta(hours=4), "dedupe_key": f"test:{next(_minutes)}:{number()}"}
    return PatientMessage.objects.create(patient=who, **{**fields, **over})


def mail_after_text() -> None:
    """Let an e-mail stand in for a text of the same offset, as the shipped table does for a day before."""
    ReminderPolicy.objects.all().delete()
    for order, channel in enumerate(("sms", "email"), start=1):
        ReminderPolicy.objects.create(offset_hours=24, channel=channel, order=order)
