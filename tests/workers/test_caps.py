"""Holds how many texts one number gets: a day, a week, by its owner's calendar, whoever sends them and from what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.messaging import caps
from backend.apps.messaging.models import ContactRules, PatientMessage
from integrations.doubles.twilio import TwilioDouble
from tests.workers.rows import stored
from tests.workers.texts import due_message, due_text, mail_after_text, patient
from workers import reminders

pytestmark = pytest.mark.django_db
NEW_YORK, HONOLULU = ZoneInfo("America/New_York"), ZoneInfo("Pacific/Honolulu")


def had_texts(who: Any, *ago: timedelta, **over: Any) -> list[PatientMessage]:
    """Save texts the patient got some time ago."""
    now = timezone.now()
    return [
        due_message(
            who,
            status="sent",
            work_state="done",
            sent_at=now - one,
            recipient_phone=who.phone,
            wording="no_show",
            **over,
        )
        for one in ago
    ]


@pytest.mark.parametrize(
    ("now", "earlier", "zone", "reason"),
    [
        # 2026-03-08 3:00 UTC is the evening of the 7th in New York and the afternoon in Honolulu.
        ("2026-03-08T03:00", ["2026-03-07T15:00"], NEW_YORK, caps.TODAY),
        ("2026-03-08T15:00", ["2026-03-08T03:00"], NEW_YORK, None),
        ("2026-03-08T15:00", ["2026-03-08T11:00"], HONOLULU, caps.TODAY),
        ("2026-03-08T15:00", ["2026-03-08T09:00"], HONOLULU, None),
        ("2026-03-08T15:00", ["2026-03-02T15:00", "2026-03-04T15:00", "2026-03-07T15:00"], NEW_YORK, caps.THIS_WEEK),
        ("2026-03-08T15:00", ["2026-03-01T15:00", "2026-03-04T15:00", "2026-03-07T15:00"], NEW_YORK, None),
    ],
)
def test_days_are_those_of_the_recipients_calendar(
    now: str, earlier: list[str], zone: ZoneInfo, reason: str | None
) -> None:
    moments = [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in earlier]
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert caps.why_not(moments, now=at, zone=zone, rules=ContactRules()) == reason


def test_r44_a_second_text_of_the_day_stays_and_the_mail_goes_instead(twilio: TwilioDouble) -> None:
    mail_after_text()
    who = patient()
    had_texts(who, timedelta(0))
    row = due_text(who)
    assert reminders.deliver_due() == "1 not needed"
    assert (stored(row).status, stored(row).status_reason) == ("suppressed", caps.TODAY)
    assert reminders.deliver_due() == "1 done"
    assert twilio.sent == []


def test_r44_a_fourth_text_of_the_week_stays_and_nobody_is_asked_to_call(twilio: TwilioDouble) -> None:
    who = patient(email="")
    had_texts(who, *(timedelta(days=days) for days in (2, 3, 5)))
    row = due_text(who)
    reminders.deliver_due()
    assert stored(row).status_reason == caps.THIS_WEEK
    assert not who.staff_tasks.exists()


@pytest.mark.parametrize("state", ["running", "held"])
def test_a_text_on_its_way_counts_already(twilio: TwilioDouble, state: str) -> None:
    who = patient()
    due_message(who, work_state=state, begun_at=timezone.now(), recipient_phone=who.phone)
    row = due_text(who)
    reminders.deliver_due()
    assert stored(row).status_reason == caps.TODAY


def test_answers_to_the_patients_own_text_neither_count_nor_are_counted_out(twilio: TwilioDouble) -> None:
    who = patient()
    had_texts(who, timedelta(0))
    due_message(who, wording="choose")
    assert reminders.deliver_messages() == "1 done"
    assert len(twilio.sent) == 1
    other = patient()
    due_message(other, wording="choose")
    due_text(other)
    reminders.deliver_messages()
    assert reminders.deliver_due() == "1 done"


def test_two_messages_in_one_batch_do_not_pass_the_cap_together(twilio: TwilioDouble) -> None:
    who = patient()
    due_message(who)
    due_message(who)
    assert reminders.deliver_messages() == "1 done, 1 not needed"
    assert len(twilio.sent) == 1


def test_a_text_that_was_refused_does_not_count(twilio: TwilioDouble) -> None:
    who = patient()
    due_message(who)
    twilio.refuse_next(30007)
    reminders.deliver_messages()
    due_text(who)
    assert reminders.deliver_due() == "1 done"


def test_more_may_be_allowed(twilio: TwilioDouble) -> None:
    ContactRules.objects.create(texts_a_day=2, texts_a_week=9)
    who = patient()
    had_texts(who, timedelta(0))
    row = due_text(who)
    reminders.deliver_due()
    assert stored(row).status == "sent"
    assert AppointmentReminder.objects.count() == 1
