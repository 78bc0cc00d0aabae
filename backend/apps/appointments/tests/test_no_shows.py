"""Holds that who missed a visit is written to once, on a business morning of their own, and nobody who need not be."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from backend.apps.appointments import no_shows, services
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.messaging.models import ContactRules, PatientMessage, StaffTask
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db
PACIFIC = ZoneInfo("America/Los_Angeles")
FRIDAY = datetime(2026, 3, 6, 20, 0, tzinfo=UTC)


def missed(**over: Any) -> Appointment:
    over.setdefault("patient", None)
    row = make_appointment(
        patient=over["patient"] or make_reachable_patient(time_zone=PACIFIC.key),
        appointment_datetime=timezone.now() - over.get("ago", timedelta(hours=2)),
    )
    return services.mark_no_show(row, by=None)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (FRIDAY, datetime(2026, 3, 9, 10, tzinfo=PACIFIC)),  # after the clock changed
        (FRIDAY - timedelta(days=1), datetime(2026, 3, 6, 10, tzinfo=PACIFIC)),
        (datetime(2026, 3, 7, 12, tzinfo=UTC), datetime(2026, 3, 9, 10, tzinfo=PACIFIC)),
        (datetime(2026, 3, 10, 3, tzinfo=UTC), datetime(2026, 3, 10, 10, tzinfo=PACIFIC)),  # there it is still Monday
    ],
)
def test_a_missed_visit_is_followed_up_at_ten_of_the_patient_s_next_business_day(now: datetime, due: datetime) -> None:
    with time_machine.travel(now, tick=False):
        visit = missed()
    message = PatientMessage.objects.get()
    assert message.due_at == due
    assert (message.patient, message.channel, message.wording) == (visit.patient, "sms", "no_show")
    assert (message.subject_id, message.scheduled_send_time) == (visit.pk, message.due_at)
    assert message.useful_until == due.replace(hour=20)


def test_one_visit_is_followed_up_once() -> None:
    visit = missed()
    no_shows.follow_up(visit)
    assert PatientMessage.objects.count() == 1


def test_who_agreed_to_nothing_is_not_written_to() -> None:
    missed(patient=make_patient())
    assert not PatientMessage.objects.exists()


def test_a_visit_that_is_cleared_up_days_later_is_no_news() -> None:
    missed(ago=timedelta(days=3, minutes=1))
    assert not PatientMessage.objects.exists()


def test_who_books_again_or_was_marked_by_mistake_is_not_asked() -> None:
    due, booked, corrected, gone = (missed() for _ in range(4))
    make_appointment(patient=booked.patient)
    Appointment.objects.filter(pk=corrected.pk).update(status="completed")
    gone.delete()
    rows = Appointment.all_objects.all()
    reasons = no_shows.why_not(list(rows), now=timezone.now())
    assert due.pk not in reasons
    assert "another visit" in reasons[booked.pk]
    assert {reasons[row.pk] for row in (corrected, gone)} == {"The visit does not count as missed any more."}


def test_who_cannot_be_written_to_is_called_once_unless_they_come_again() -> None:
    visit = missed(patient=make_patient())
    no_shows.follow_up(visit)
    task = StaffTask.objects.get()
    assert (task.kind, task.patient, task.subject_id) == ("call", visit.patient, visit.pk)
    coming = make_patient()
    make_appointment(patient=coming)
    missed(patient=coming)
    assert StaffTask.objects.count() == 1


def test_a_window_that_begins_in_the_evening_is_not_begun_early() -> None:
    ContactRules.objects.create(opens_at=time(19, 30), closes_at=time(20))
    with time_machine.travel(FRIDAY, tick=False):
        missed()
    assert PatientMessage.objects.get().due_at == datetime(2026, 3, 9, 19, 30, tzinfo=PACIFIC)


def test_where_a_state_has_two_zones_it_is_ten_in_both() -> None:
    with time_machine.travel(FRIDAY, tick=False):
        missed(patient=make_reachable_patient(state="SD", country="US"))
    message = PatientMessage.objects.get()
    assert message.due_at == datetime(2026, 3, 9, 10, tzinfo=ZoneInfo("America/Denver"))
    assert message.useful_until == datetime(2026, 3, 9, 20, tzinfo=ZoneInfo("America/Chicago"))
