"""Proves the second pipeline end to end: booked over the API, planned in the same commit, sent once due."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.doubles.sendgrid import SendGridDouble
from integrations.doubles.twilio import TwilioDouble
from tests.support.api_contract import client_for
from tests.support.clocks import zone_at
from tests.support.stage import Stage, until


def book(stage: Stage) -> str:
    """Book a visit in eight days over the API and return its id."""
    who = {"email": "pat@example.org", "phone": "+14155550123", "time_zone": zone_at()}
    patient = make_patient(sms_consent=True, email_consent=True, **who)
    body = {
        "patient": str(patient.pk),
        "doctor": str(make_doctor().pk),
        "appointment_datetime": (timezone.now() + timedelta(days=8)).isoformat(),
        "duration_minutes": 30,
        "appointment_type": "consultation",
        "availability_override_reason": "pipeline test",
    }
    answer = client_for(make_user("receptionist")).post("/api/v1/appointments/", body)
    assert answer.status_code == 201, answer.data
    return str(answer.data["id"])


@pytest.mark.parametrize(("kind", "offset"), [("sms", 1440), ("email", 10080)])
def test_a_booked_visit_gets_its_reminders_and_the_due_one_leaves(stage: Stage, kind: str, offset: int) -> None:
    with TwilioDouble() as twilio, SendGridDouble() as sendgrid:
        stage.extra.update(providers(twilio, sendgrid))
        visit = book(stage)
        rows = AppointmentReminder.objects.filter(appointment_id=visit)
        planned = set(rows.values_list("offset_minutes", "reminder_type"))
        assert planned == {(10080, "email"), (4320, "email"), (1440, "sms"), (120, "sms")}
        now = timezone.now()
        rows.filter(offset_minutes=offset).update(due_at=now, scheduled_send_time=now)
        stage.worker()
        stage.start("ring", "-c", "import workers.celery_app; from workers import sweep; print(sweep.overdue())")
        row = until(lambda: rows.filter(status="sent").first())
        taken = twilio.sent[0].sid if kind == "sms" else sendgrid.sent[0].message_id
        assert (row.reminder_type, row.external_id, row.work_state) == (kind, taken, "done")
        assert len(twilio.sent) + len(sendgrid.sent) == 1
        assert rows.filter(status="pending", work_state="waiting").count() == 3


def providers(twilio: TwilioDouble, sendgrid: SendGridDouble) -> dict[str, str]:
    return {
        **twilio.environment,
        "SENDGRID_API_KEY": "test-key",
        "SENDGRID_FROM": "clinic@example.org",
        "SENDGRID_BASE_URL": sendgrid.url,
    }
