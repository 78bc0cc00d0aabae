"""Holds that a day is foretold as it will be: who is reminded, when, and who is not and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from backend.apps.appointments import preview, reminders, services, timing
from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderPolicy
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.messaging import caps
from backend.apps.messaging.models import PatientMessage
from backend.apps.messaging.tests.inbox_factories import make_patient_message
from backend.apps.patients.tests.factories import reached_at

pytestmark = pytest.mark.django_db

NOON = datetime(2027, 6, 1, 16, tzinfo=UTC)  # twelve o'clock in New York
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOMORROW = date(2027, 6, 2)
CANARY = "Zebraname"


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def visit(start: datetime, **patient: Any) -> Appointment:
    """Save a visit with its reminders planned, of somebody with a number of their own."""
    count = Appointment.objects.count()
    who = {"phone": f"+1415555{count + 1000}", "email": f"p{count}@example.org", "last_name": CANARY, **patient}
    row = make_appointment(patient=make_reachable_patient(**who), appointment_datetime=start)
    reminders.replan(row)
    return row


def told(on: date = TOMORROW) -> list[tuple[int, str, bool, str]]:
    return [(one.offset_minutes, one.channel, one.goes_out, one.reason) for one in preview.day(on)]


def test_a_day_shows_what_leaves_on_it_in_the_order_of_time() -> None:
    visit(NOON + 2 * DAY)  # asked about tomorrow at noon
    visit(NOON + 4 * DAY)  # a mail three days before
    visit(NOON + 30 * DAY)
    assert told() == [(1440, "sms", True, ""), (4320, "email", True, "")]
    assert told(date(2027, 6, 20)) == []


def test_a_text_that_was_moved_says_from_when() -> None:
    ReminderPolicy.objects.filter(offset_hours=24).delete()
    visit(datetime(2027, 6, 3, 14, tzinfo=UTC))  # at ten; two hours before is eight in the morning
    lines = [one for one in preview.day(TOMORROW) if one.offset_minutes == 120]
    assert [(one.goes_out, one.reason) for one in lines] == [(True, "Moved from Thu 08:00 into the hours for texts.")]


def test_a_second_text_about_a_visit_on_one_day_is_over_the_cap() -> None:
    visit(datetime(2027, 6, 3, 14, tzinfo=UTC))  # at ten: asked at ten, and the text of the day moves to this evening
    assert [one[:3] for one in told()] == [(1440, "sms", True), (120, "sms", False)]
    assert "today" in told()[1][3]


def test_what_the_table_does_not_send_is_there_with_its_reason() -> None:
    visit(NOON + 2 * DAY, sms_consent=False, email_consent=False)
    row = visit(NOON + DAY + timedelta(hours=2))
    Appointment.objects.filter(pk=row.pk).update(status="confirmed")
    reminders.replan(row)
    reasons = [one[3] for one in told()]
    assert "The patient has not agreed to this channel." in reasons
    assert timing.CONFIRMED in reasons
    assert preview.counts(preview.day(TOMORROW))[timing.CONFIRMED] == 1


def test_a_visit_nobody_has_planned_is_told_apart() -> None:
    make_appointment(patient=make_reachable_patient(), appointment_datetime=NOON + 2 * DAY)
    assert told() == [(1440, "sms", False, preview.UNPLANNED)]


def test_a_consent_that_ended_after_planning_stops_it() -> None:
    row = visit(NOON + 2 * DAY)
    type(row.patient).objects.filter(pk=row.patient_id).update(sms_consent=False)
    assert told() == [(1440, "sms", False, "The patient has not agreed to this channel.")]


def test_what_has_left_is_no_longer_to_come() -> None:
    row = visit(NOON + 2 * DAY)
    AppointmentReminder.objects.get(appointment=row, offset_minutes=1440).mark_as_sent("x1")
    assert told() == [(1440, "sms", False, "It has left.")]


def test_a_family_gets_one_text_and_a_number_no_more_than_the_caps() -> None:
    first, second = visit(NOON + 2 * DAY), visit(NOON + 2 * DAY + timedelta(hours=1))
    reached_at(first.patient, second.patient, phone="+14155550199")
    assert [one[2:] for one in told()] == [(True, ""), (True, preview.TOLD_TOGETHER)]
    for place in range(3):
        make_reminder(
            status="sent", sent_at=NOON - place * DAY, recipient_phone="+14155550199", work_state="done",
            scheduled_send_time=NOON - place * DAY,
        )  # fmt: skip
    assert [one[2] for one in told()] == [False, False]
    assert "this week" in told()[0][3]
    assert second.patient_id != first.patient_id


def test_a_number_that_does_not_open_keeps_nobody_from_seeing_the_day() -> None:
    first, second = visit(NOON + 2 * DAY), visit(NOON + 2 * DAY + timedelta(hours=1), email_consent=False)
    reached_at(first.patient, second.patient, phone="+14155550199")
    message = make_patient_message(second.patient, wording="recall")
    PatientMessage.objects.filter(pk=message.pk).update(due_at=NOON + DAY + HOUR)
    with connection.cursor() as cursor:  # as of another row
        cursor.execute("UPDATE patients_patient SET phone = (SELECT phone FROM patients_patient WHERE id = %s) "
                       "WHERE id = %s", [first.patient_id, second.patient_id])  # fmt: skip
    assert [one[2:] for one in told()] == [(True, ""), (False, "The patient has no address on this channel.")]


def test_what_is_told_on_another_channel_instead_says_so() -> None:
    over, stopped = visit(datetime(2027, 6, 3, 14, tzinfo=UTC)), visit(NOON + 2 * DAY)
    type(stopped.patient).objects.filter(pk=stopped.patient_id).update(sms_consent=False)
    found = {(one.appointment_id, one.offset_minutes): (one.goes_out, one.instead) for one in preview.day(TOMORROW)}
    assert found[over.pk, 120] == (False, "email")
    assert found[stopped.pk, 1440] == (False, "email")
    type(over.patient).objects.update(email_consent=False)
    assert {one.instead for one in preview.day(TOMORROW)} == {""}


def test_a_recall_or_an_offer_of_the_day_counts_as_one_of_its_texts() -> None:
    row = visit(NOON + 2 * DAY)
    message = PatientMessage.objects.create(
        patient=row.patient, channel="sms", wording="recall", dedupe_key="x", due_at=NOON + DAY - HOUR,
        scheduled_send_time=NOON + DAY - HOUR,
    )  # fmt: skip
    assert told() == [(1440, "sms", False, caps.TODAY)]
    PatientMessage.objects.filter(pk=message.pk).update(due_at=NOON + DAY + HOUR)
    assert told() == [(1440, "sms", True, "")]


def test_what_was_told_of_a_cancelled_visit_at_the_same_time_is_not_to_be_planned() -> None:
    first = visit(NOON + 2 * DAY)
    AppointmentReminder.objects.get(appointment=first, offset_minutes=1440).mark_as_sent("x1")
    services.cancel(first, by=None, reason="x")
    again = make_appointment(patient=first.patient, appointment_datetime=first.appointment_datetime)
    assert reminders.plan_all([again], now=timezone.now()) == 1
    assert [one for one in preview.day(TOMORROW) if one.appointment_id == again.pk] == []


def test_a_mail_that_stands_in_for_a_text_is_not_said_to_be_moved() -> None:
    row = visit(NOON + 2 * DAY)
    text = AppointmentReminder.objects.get(appointment=row, offset_minutes=1440)
    AppointmentReminder.objects.filter(pk=text.pk).update(status="failed", work_state="failed")
    make_reminder(appointment=row, reminder_type="email", fallback_of=text, scheduled_send_time=NOON + DAY + HOUR)
    assert (1440, "email", True, preview.INSTEAD) in told()


def test_what_is_not_planned_yet_says_why_it_is_not_on_its_first_channel() -> None:
    make_appointment(patient=make_reachable_patient(sms_consent=False), appointment_datetime=NOON + 2 * DAY)
    assert [one[3] for one in told()] == [
        f"{preview.UNPLANNED} Not on the first channel: The patient has not agreed to this channel."
    ]


def test_a_day_costs_the_same_queries_for_few_and_for_many(django_assert_max_num_queries: Any) -> None:
    for place in range(12):
        visit(NOON + 2 * DAY + timedelta(minutes=place))
    with django_assert_max_num_queries(12):
        assert len(preview.day(TOMORROW)) == 12


class TestCommand:
    def run(self, *words: str) -> str:
        out = StringIO()
        call_command("reminders", *words, stdout=out)
        return out.getvalue()

    def test_all_visits_are_planned_once(self) -> None:
        for place in range(3):
            make_appointment(patient=make_reachable_patient(), appointment_datetime=NOON + (20 + place) * DAY)
        assert "3 visits, 12 reminders added." in self.run("plan", "--all")
        assert "3 visits, 0 reminders added." in self.run("plan", "--all")

    def test_the_preview_names_patients_by_record_number_only(self) -> None:
        row, other = visit(NOON + 2 * DAY), visit(NOON + 2 * DAY)
        text = self.run("preview", "--date", "2027-06-02", "--patient", row.patient.medical_record_number.lower())
        assert row.patient.medical_record_number in text
        assert other.patient.medical_record_number not in text
        assert "goes out by sms" in text
        assert CANARY not in text + self.run("preview", "--date", "2027-06-02", "--json")

    def test_the_machine_form_holds_every_line(self) -> None:
        visit(NOON + 2 * DAY)
        found = json.loads(self.run("preview", "--date", "2027-06-02", "--json"))
        assert (found["date"], len(found["lines"]), found["counts"]) == ("2027-06-02", 1, {"goes out by sms": 1})

    def test_an_unknown_record_number_is_one_sentence(self) -> None:
        with pytest.raises(CommandError, match="No patient has this record number"):
            self.run("preview", "--patient", "NOBODY")

    def test_a_table_that_changed_shows_before_it_is_planned(self) -> None:
        visit(NOON + 2 * DAY)
        ReminderPolicy.objects.create(offset_hours=30, channel="email")
        assert timezone.now() == NOON
        assert (1800, "email", False, preview.UNPLANNED) in told()
