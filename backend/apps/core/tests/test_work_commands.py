"""Holds the operator's two commands: what waits for a person, and putting it back in line."""

from __future__ import annotations

import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment

pytestmark = pytest.mark.django_db
LABEL = "appointments.AppointmentReminder"


def held_reminder() -> AppointmentReminder:
    return AppointmentReminder.objects.create(
        appointment=make_appointment(),
        appointment_version=1,
        offset_minutes=5,
        reminder_type="sms",
        scheduled_send_time=timezone.now(),
        work_state="failed",
        status="failed",
        attempts=8,
        last_error="refused (twilio:21211)",
        dedupe_key=uuid.uuid4().hex,
    )


def test_what_waits_for_a_person_is_listed_with_its_reason() -> None:
    row, out = held_reminder(), StringIO()
    call_command("work", held=True, stdout=out)
    assert f"{LABEL} {row.pk} failed: refused (twilio:21211)" in out.getvalue()


def test_rows_are_counted_by_kind_and_state() -> None:
    held_reminder()
    out = StringIO()
    call_command("work", stdout=out)
    assert any(line.split()[:3] == [LABEL, "failed", "1"] for line in out.getvalue().splitlines())


def test_a_row_put_back_in_line_starts_afresh() -> None:
    row = held_reminder()
    call_command("retry_work", LABEL, str(row.pk), stdout=StringIO())
    row.refresh_from_db()
    assert (row.work_state, row.status, row.attempts, row.last_error) == ("waiting", "pending", 0, "")
    with pytest.raises(CommandError, match="neither held nor failed"):
        call_command("retry_work", LABEL, str(row.pk), stdout=StringIO())


@pytest.mark.parametrize("label", ["patients.Patient", "nothing.Here", "rubbish"])
def test_what_is_no_work_is_refused_with_a_sentence(label: str) -> None:
    with pytest.raises(CommandError, match=r"no model|not a kind of work"):
        call_command("retry_work", label, str(uuid.uuid4()))
