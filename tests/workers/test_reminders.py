"""Holds what a patient is sent and when nothing is: the minimum, at the clinic's own time, and decided late."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from icalendar import Calendar

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderPolicy
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.messaging import links
from backend.apps.messaging.models import PatientLink, PatientMessage
from backend.apps.patients import consents
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import reached_at
from backend.apps.users.tests.factories import make_user
from tests.support.clocks import zone_at
from tests.workers.rows import stored
from workers import gateways, reminders
from workers.sending import Sending
from workers.side_by_side import Call, drain_side_by_side

pytestmark = pytest.mark.django_db
REASON = "chemotherapy follow-up"
SECRETS = re.compile(r"/a/[\w-]{22}|UID:.*?DTSTAMP")  # random letters, in which anything may be read


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


def due(kind: str = "sms", at: datetime | None = None, wording: str = "", **over: Any) -> AppointmentReminder:
    """Save a reminder that is due now, for a visit tomorrow or at `at`."""
    reachable = {"phone": "+14155550123", "email": "pat@example.org", "time_zone": zone_at()}
    patient = make_reachable_patient(**{**reachable, **over})
    visit = make_appointment(
        patient=patient,
        doctor=make_doctor(user=make_user("doctor", first_name="Gregory", last_name="Haversham")),
        appointment_datetime=at or timezone.now() + timedelta(hours=23, minutes=55),
        appointment_type="procedure",
        reason=REASON,
        location="Oncology wing",
    )
    return make_reminder(appointment=visit, reminder_type=kind, wording=wording)


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
    files = [base64.b64decode(file["content_base64"]).decode() for file in message.pop("attachments", ())]
    said = {name: message[name] for name in message.keys() - {"to", "attempt_id", "id"}}
    text = SECRETS.sub("", json.dumps([said, files]))
    patient = row.appointment.patient
    for private in (
        "Haversham", "Gregory", "Dr", REASON, "chemo", "procedure", "Oncology",
        patient.first_name, patient.last_name, patient.medical_record_number, str(patient.pk), "1980",
    ):  # fmt: skip
        assert private.lower() not in text.lower()
    assert "Elm Street Clinic" in text
    assert "+15185550100" in text


def test_the_text_message_is_one_sentence_with_a_way_out(outbox: Path) -> None:
    with time_machine.travel(datetime(2026, 3, 2, 15, 31, tzinfo=UTC), tick=False):
        due(at=datetime(2026, 3, 3, 15, 30, tzinfo=UTC))
        reminders.deliver_due()
    (message,) = taken(outbox)
    assert message["body"] == (
        "Elm Street Clinic: your appointment is Tue 3 Mar at 10:30 AM EST. "
        "Questions? Call +15185550100. Reply STOP to opt out."
    )


def test_without_a_phone_the_text_still_reads_well(outbox: Path) -> None:
    Clinic.objects.update(phone="")
    due()
    reminders.deliver_due()
    (message,) = taken(outbox)
    assert "Call" not in message["body"]


def test_a_confirmed_visit_is_not_asked_about_again(outbox: Path) -> None:
    row = due(wording="ask_to_confirm")
    Appointment.objects.filter(pk=row.appointment_id).update(status="confirmed")
    reminders.deliver_due()
    (message,) = taken(outbox)
    assert "Reply 1" not in message["body"]


def test_r46_a_cancelled_visit_is_taken_out_of_the_calendar_by_one_mail_and_by_no_text(outbox: Path) -> None:
    row = due("email")
    reminders.deliver_due()
    visit = Appointment.objects.get(pk=row.appointment_id)
    services.cancel(visit, by=None, reason="the doctor is ill", offer_time=False)
    PatientMessage.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    assert reminders.deliver_messages() == "1 done"
    assert PatientMessage.objects.count() == 1
    came, gone = sorted(taken(outbox), key=lambda message: "cancelled" in message["subject"])
    events = [
        Calendar.from_ical(base64.b64decode(message["attachments"][0]["content_base64"])).walk("VEVENT")[0]
        for message in (came, gone)
    ]
    assert events[0]["uid"] == events[1]["uid"]
    assert events[1]["sequence"] > events[0]["sequence"]
    assert str(events[1]["status"]) == "CANCELLED"
    assert "method=CANCEL" in gone["attachments"][0]["content_type"]
    assert gone["subject"] == "Your appointment was cancelled"
    assert "call us at +15185550100" in gone["text"]
    assert "ill" not in gone["text"].split()


def test_a_mail_brings_the_visit_for_the_calendar_and_a_way_out_of_one_click(outbox: Path) -> None:
    row = due("email")
    reminders.deliver_due()
    (message,) = taken(outbox)
    calendar = message["attachments"][0]
    assert (calendar["name"], "method=PUBLISH" in calendar["content_type"]) == ("appointment.ics", True)
    assert message["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    kept = {link.purpose: link for link in PatientLink.objects.filter(message_id=row.pk)}
    assert set(kept) == {"answer", "unsubscribe"}
    assert {link.subject_id for link in kept.values()} == {row.appointment_id}
    assert kept["answer"].expires_at == row.appointment.end_datetime
    assert kept["unsubscribe"].expires_at > timezone.now() + timedelta(days=399)  # a mail is read long after the visit
    assert message["headers"]["List-Unsubscribe"] == f"<{links.url(row.pk, 'unsubscribe')}>"


def test_what_leaves_is_on_disk_before_anybody_is_spoken_to(outbox: Path) -> None:
    row = due()
    sending = Sending(AppointmentReminder, ("appointment__patient",), reminders.why_not_remind)
    (leased,) = sending.lease(10)
    assert leased.begin()
    (call,) = sending.prepare([leased])
    noted = stored(row)
    assert (noted.work_state, noted.recipient_phone, noted.provider) == ("running", "+14155550123", "sandbox")
    assert (len(noted.body_sha256), noted.segments) == (64, 1)
    assert taken(outbox) == []
    assert isinstance(call, Call)
    call.speak()
    assert hashlib.sha256(taken(outbox)[0]["body"].encode()).hexdigest() == noted.body_sha256


def deliver_while(happens: Callable[[], object]) -> str:
    """Deliver, and let something happen after a worker has begun with the row: only the late look helps then."""

    class Interrupted(Sending):
        def prepare(self, rows: Any) -> Any:
            happens()
            return super().prepare(rows)

    sending = Interrupted(AppointmentReminder, ("appointment__patient",), reminders.why_not_remind)
    return drain_side_by_side(
        AppointmentReminder, sending.prepare, limit=10, threads=2, lease=sending.lease, settle=sending.settle
    )


@pytest.mark.parametrize("happens", ["cancelled", "deleted", "consent withdrawn", "phone lost", "too late"])
def test_r06_what_happens_between_claim_and_send_still_stops_the_message(happens: str, outbox: Path) -> None:
    row = due(email="")
    visit, patient = row.appointment, row.appointment.patient
    late = timezone.now() - timedelta(hours=20)
    jobs: dict[str, Callable[[], object]] = {
        "cancelled": lambda: services.cancel(visit, by=None, reason="rain"),
        "deleted": row.delete,
        "too late": lambda: AppointmentReminder.objects.update(scheduled_send_time=late, useful_until=late),
        "phone lost": lambda: reached_at(patient, phone=""),
        "consent withdrawn": lambda: Patient.objects.filter(pk=patient.pk).update(sms_consent=False),
    }
    assert deliver_while(jobs[happens]) == "1 not needed"
    after = AppointmentReminder.all_objects.get(pk=row.pk)
    assert (after.status, after.work_state) == ("suppressed", "done")
    assert after.status_reason
    assert taken(outbox) == []


def test_r36_without_consent_nothing_leaves_on_that_channel(outbox: Path) -> None:
    texts, mails = due(sms_consent=False), due("email", email_consent=False, phone="+14155550124")
    assert reminders.deliver_due() == "2 not needed"
    assert {stored(texts).status, stored(mails).status} == {"suppressed"}
    assert stored(texts).status_reason == "The patient has not agreed to this channel."
    assert taken(outbox) == []


def test_r38_a_stop_reaches_rows_that_a_worker_has_claimed_and_the_mail_goes_instead(outbox: Path) -> None:
    ReminderPolicy.objects.all().delete()
    for order, channel in enumerate(("sms", "email"), start=1):
        ReminderPolicy.objects.create(offset_hours=24, channel=channel, order=order)
    row = due()
    assert deliver_while(lambda: consents.stop("+14155550123", evidence="SM1")) == "1 not needed"
    assert taken(outbox) == []
    reminders.deliver_due()
    (mail,) = taken(outbox)
    assert (mail["kind"], mail["to"]) == ("email", "pat@example.org")
    assert AppointmentReminder.objects.get(fallback_of=row).status == "sent"


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
