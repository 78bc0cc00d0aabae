"""Holds what a patient is sent and when nothing is: the minimum, at the clinic's own time, and decided late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.users.tests.factories import make_user
from tests.workers.rows import stored
from workers import gateways, reminders

pytestmark = pytest.mark.django_db
REASON = "chemotherapy follow-up"


@pytest.fixture(autouse=True)
def clinic() -> Clinic:
    Clinic.objects.all().delete()
    return Clinic.objects.create(name="Elm Street Clinic", phone="+15185550100", time_zone="America/New_York")


@pytest.fixture(autouse=True)
def outbox(settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.SMS_TRANSPORT = settings.EMAIL_TRANSPORT = "sandbox"
    settings.DATA_DIR = tmp_path
    gateways._clients.__dict__.clear()
    yield tmp_path / "outbox"
    gateways._clients.__dict__.clear()


def due(kind: str = "sms", at: datetime | None = None, **over: Any) -> AppointmentReminder:
    """Save a reminder that is due now, for a visit tomorrow or at `at`."""
    patient = make_reachable_patient(**{"phone": "+14155550123", "email": "pat@example.org", **over})
    visit = make_appointment(
        patient=patient,
        doctor=make_doctor(user=make_user("doctor", first_name="Gregory", last_name="Haversham")),
        appointment_datetime=at or timezone.now() + timedelta(hours=23, minutes=55),
        appointment_type="procedure",
        reason=REASON,
        location="Oncology wing",
    )
    return make_reminder(appointment=visit, reminder_type=kind)


def taken(outbox: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(outbox.glob("*.json"))]


@pytest.mark.parametrize("kind", ["sms", "email"])
def test_a_due_reminder_leaves_and_the_row_keeps_who_got_it_and_its_id(kind: str, outbox: Path) -> None:
    row = due(kind)
    assert reminders.deliver_due() == "1 done"
    (message,) = taken(outbox)
    after = stored(row)
    assert (after.status, after.work_state, after.external_id) == ("sent", "done", message["id"])
    assert timezone.now() - after.sent_at < timedelta(minutes=1)
    address = {"sms": after.recipient_phone, "email": after.recipient_email}
    assert {name: value for name, value in address.items() if value} == {kind: message["to"]}
    assert message["attempt_id"] == f"{row.pk}.1"


@pytest.mark.parametrize("kind", ["sms", "email"])
def test_a_message_tells_clinic_time_and_phone_and_nothing_about_the_patient(kind: str, outbox: Path) -> None:
    row = due(kind)
    reminders.deliver_due()
    (message,) = taken(outbox)
    text = json.dumps({name: value for name, value in message.items() if name not in ("to", "attempt_id", "id")})
    patient = row.appointment.patient
    for private in (
        "Haversham", "Gregory", "Dr", REASON, "chemo", "procedure", "Oncology",
        patient.first_name, patient.last_name, patient.medical_record_number, str(patient.pk), "1980",
    ):  # fmt: skip
        assert private.lower() not in text.lower()
    assert "Elm Street Clinic" in text
    assert "+15185550100" in text


def test_the_text_message_is_one_sentence_with_a_way_out() -> None:
    with time_machine.travel(datetime(2026, 3, 2, 15, 30, tzinfo=UTC), tick=False):
        row = due(at=datetime(2026, 3, 3, 15, 30, tzinfo=UTC))
    text = reminders.sms_text(row, Clinic.current())
    assert text == (
        "Elm Street Clinic: your appointment is Tue 3 Mar at 10:30 AM EST. "
        "Questions? Call +15185550100. Reply STOP to opt out."
    )


# In 2026 New York's clocks go forward on 8 March at 2:00 and back on 1 November at 2:00.
@pytest.mark.parametrize(
    ("zone", "at", "text"),
    [
        ("America/New_York", datetime(2026, 3, 7, 14, 5, tzinfo=UTC), "Sat 7 Mar at 9:05 AM EST"),
        ("America/New_York", datetime(2026, 3, 9, 14, 5, tzinfo=UTC), "Mon 9 Mar at 10:05 AM EDT"),
        ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "Sun 1 Nov at 1:30 AM EDT"),
        ("America/New_York", datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "Sun 1 Nov at 1:30 AM EST"),
        ("America/Los_Angeles", datetime(2026, 3, 10, 1, 0, tzinfo=UTC), "Mon 9 Mar at 6:00 PM PDT"),
        ("America/New_York", datetime(2026, 6, 1, 4, 0, tzinfo=UTC), "Mon 1 Jun at 12:00 AM EDT"),
        ("America/Phoenix", datetime(2026, 6, 1, 19, 0, tzinfo=UTC), "Mon 1 Jun at 12:00 PM MST"),
    ],
)
def test_the_time_is_the_clinics_own_with_the_clock_of_that_day(zone: str, at: datetime, text: str) -> None:
    visit = make_appointment(appointment_datetime=at)
    row = make_reminder(appointment=visit)
    assert reminders.when(row, Clinic(name="Elm", time_zone=zone)) == text


def test_without_a_phone_the_texts_still_read_well() -> None:
    row = due()
    bare = Clinic(name="Elm")
    assert "Call" not in reminders.sms_text(row, bare)
    assert "please call us." in reminders.email_text(row, bare)


@pytest.mark.parametrize("happens", ["cancelled", "deleted", "consent withdrawn", "phone lost", "too late"])
def test_what_happens_between_lease_and_send_still_stops_the_message(happens: str, outbox: Path) -> None:
    row = due()
    (leased,) = AppointmentReminder.work.lease(1)
    leased.begin()  # from here on nobody takes the row back; only the late look helps
    visit, patient = row.appointment, row.appointment.patient
    if happens == "cancelled":
        services.cancel(visit, by=None, reason="rain")
    elif happens == "deleted":
        row.delete()
    elif happens == "too late":
        AppointmentReminder.objects.update(scheduled_send_time=timezone.now() - timedelta(hours=20))
    else:
        changes = {"phone": ""} if happens == "phone lost" else {"sms_consent": False}
        type(patient).objects.filter(pk=patient.pk).update(**changes)
    with pytest.raises(reminders.NotNeeded) as told:
        reminders.deliver(leased)
    assert leased.finish(**told.value.changes)
    after = AppointmentReminder.all_objects.get(pk=row.pk)
    assert (after.status, after.work_state, after.status_reason) == ("suppressed", "done", str(told.value))
    assert taken(outbox) == []


def test_a_cancellation_before_the_worker_comes_takes_the_reminder_back(outbox: Path) -> None:
    row = due()
    services.cancel(row.appointment, by=None, reason="rain")
    assert reminders.deliver_due() == "nothing due"
    assert (stored(row).status, taken(outbox)) == ("superseded", [])


def test_an_address_no_provider_would_take_fails_for_good_and_is_not_repeated_in_the_error(outbox: Path) -> None:
    row = due("email", email="CANARY at example.org")
    assert reminders.deliver_due() == "1 failed"
    after = stored(row)
    assert (after.status, after.work_state) == ("failed", "failed")
    assert "CANARY" not in after.last_error
    assert "email:to" in after.last_error
    assert taken(outbox) == []


def test_a_channel_without_a_provider_is_not_tried(outbox: Path) -> None:
    row = due("push")
    assert reminders.deliver_due() == "1 not needed"
    assert stored(row).status_reason == "There is no provider for this channel."
