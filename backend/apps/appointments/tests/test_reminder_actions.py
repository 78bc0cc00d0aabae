"""Proves what staff can do to a reminder by hand, and that none of it can make a message arrive twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.appointments import reminder_actions
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)  # 12:00 in New York, where the clinic is
VISIT = NOON + timedelta(days=2)


@pytest.fixture(autouse=True)
def noon() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as now:
        yield now


def planned(**over: Any) -> AppointmentReminder:
    visit = make_appointment(patient=make_reachable_patient(), appointment_datetime=VISIT)
    return make_reminder(appointment=visit, **over)


def test_a_waiting_reminder_goes_to_the_front_of_the_line() -> None:
    row = reminder_actions.send_now(planned(), by=make_user("receptionist"))
    assert (row.work_state, row.status, row.lane) == ("waiting", "pending", 0)
    assert [each.pk for each in AppointmentReminder.work.overdue()] == [row.pk]


def test_one_we_gave_up_is_tried_again_and_one_whose_fate_nobody_knows_is_not() -> None:
    failed = planned(work_state="failed", status="failed", attempts=8, last_error="the provider was away")
    row = reminder_actions.send_now(failed, by=None)
    assert (row.work_state, row.status, row.attempts) == ("waiting", "pending", 0)
    for lost in ({"work_state": "held"}, {"uncertain_since": timezone.now()}):
        with pytest.raises(DomainError, match="Nobody knows yet"):
            reminder_actions.send_now(planned(**lost), by=None)
    assert AppointmentReminder.objects.filter(work_state="waiting", uncertain_since=None).count() == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": "sent", "sent_at": NOON, "work_state": "done"}, "on its way already"),
        ({"status": "delivered", "sent_at": NOON, "work_state": "done"}, "has arrived already"),
        ({"status": "bounced", "work_state": "done"}, "came back"),
        ({"status": "superseded", "work_state": "done"}, "its newer reminders count"),
        ({"status": "failed", "work_state": "done", "error_code": "30003"}, "could not deliver it"),
        ({"work_state": "running"}, "at this moment"),
    ],
)
def test_what_went_out_or_came_back_is_not_sent_again(fields: dict[str, Any], told: str) -> None:
    row = planned(**fields)
    with pytest.raises(DomainError, match=told):
        reminder_actions.send_now(row, by=None)
    assert AppointmentReminder.objects.get(pk=row.pk).status == row.status


def test_one_that_another_message_replaced_is_not_sent_beside_it() -> None:
    row = planned(work_state="failed", status="failed")
    make_reminder(appointment=row.appointment, reminder_type="email", fallback_of=row)
    with pytest.raises(DomainError, match="Another message has taken the place"):
        reminder_actions.send_now(row, by=None)


def test_consent_and_the_state_of_the_visit_count_for_a_person_too() -> None:
    silent = make_appointment(patient=make_reachable_patient(sms_consent=False), appointment_datetime=VISIT)
    cancelled = make_appointment(patient=make_reachable_patient(), status="cancelled")
    for visit, told in ((silent, "not agreed"), (cancelled, "cancelled")):
        with pytest.raises(DomainError, match=told):
            reminder_actions.send_now(make_reminder(appointment=visit), by=None)


def test_a_text_is_not_sent_while_the_patient_sleeps_and_a_mail_is(noon: Any) -> None:
    noon.move_to(NOON + timedelta(hours=10))  # 22:00
    with pytest.raises(DomainError, match=r"between 09:00 and 20:00"):
        reminder_actions.send_now(planned(), by=None)
    mail = reminder_actions.send_now(planned(reminder_type="email"), by=None)
    assert mail in AppointmentReminder.work.overdue()


def test_a_muted_reminder_is_lost_to_the_worker_that_had_leased_it() -> None:
    row = planned(due_at=NOON - timedelta(minutes=1))
    leased = AppointmentReminder.work.lease(1)[0]
    muted = reminder_actions.mute(row, by=make_user("nurse"), reason=" She called us. ")
    assert (muted.status, muted.work_state) == ("suppressed", "done")
    assert muted.status_reason == "Muted by staff: She called us."
    assert not leased.begin()
    with pytest.raises(DomainError, match="nothing to mute"):
        reminder_actions.mute(row, by=None, reason="again")


def test_to_mute_a_visit_takes_back_what_waits_and_leaves_what_was_sent() -> None:
    row = planned()
    make_reminder(appointment=row.appointment, offset_minutes=120)
    sent = make_reminder(
        appointment=row.appointment, reminder_type="email", status="sent", sent_at=NOON, work_state="done"
    )
    with pytest.raises(DomainError, match="Say why"):
        reminder_actions.mute_all(row.appointment, by=None, reason=" ")
    assert reminder_actions.mute_all(row.appointment, by=None, reason="Moved away") == 2
    sent.refresh_from_db()
    assert sent.status == "sent"


def test_the_desk_sends_and_mutes_over_the_api_and_it_is_written_down() -> None:
    client, row = APIClient(), planned()
    client.force_authenticate(make_user("receptionist"))
    url = f"/api/v1/appointment-reminders/{row.pk}"
    assert client.post(f"{url}/send_now/").status_code == 200
    assert client.post(f"{url}/mute/", {}).status_code == 400
    assert client.post(f"{url}/mute/", {"reason": "Called"}).data["status"] == "suppressed"
    assert client.post(f"{url}/send_now/").status_code == 422
    assert set(AuditLog.objects.filter(outcome="allowed").values_list("action", flat=True)) >= {"send_now", "mute"}
    client.force_authenticate(make_user("pharmacist"))
    assert client.post(f"{url}/mute/", {"reason": "x"}).status_code == 403
