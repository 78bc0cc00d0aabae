"""Holds that no text leaves at an hour at which it may not reach its patient, however it came to be due then."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from backend.apps.messaging.models import PatientMessage, StaffTask
from integrations.doubles.twilio import TwilioDouble
from tests.support.clocks import zone_at
from tests.workers.rows import stored
from tests.workers.texts import due_message, due_text, mail_after_text, patient
from workers import reminders, side_by_side

pytestmark = pytest.mark.django_db
LATE = 22  # o'clock: eleven hours before texts may leave again


def test_a_text_that_is_due_at_night_waits_for_the_morning_and_costs_nothing(twilio: TwilioDouble) -> None:
    who = patient(time_zone=zone_at(LATE))
    row = due_text(who, useful_until=timezone.now() + timedelta(hours=20))
    assert reminders.deliver_due() == "1 released"
    after = stored(row)
    assert (after.work_state, after.attempts, after.status) == ("waiting", 0, "pending")
    there = after.due_at.astimezone(ZoneInfo(who.time_zone))
    assert (there.hour, there.minute) == (9, 0)
    assert timedelta(hours=9) < after.due_at - timezone.now() < timedelta(hours=11)
    assert reminders.deliver_due() == "nothing due"
    assert twilio.sent == []


def test_a_text_no_hour_is_left_for_is_said_by_mail(twilio: TwilioDouble, tmp_path: Path) -> None:
    mail_after_text()
    row = due_text(patient(time_zone=zone_at(LATE)))
    assert reminders.deliver_due() == "1 not needed"
    after = stored(row)
    assert (after.status, after.status_reason) == (
        "suppressed",
        "There is no hour any more at which this text may reach the patient.",
    )
    assert reminders.deliver_due() == "1 done"
    assert [one.reminder_type for one in type(row).objects.filter(fallback_of=row, status="sent")] == ["email"]
    assert (twilio.sent, StaffTask.objects.count()) == ([], 0)


def test_where_the_text_was_the_other_way_already_a_person_calls(twilio: TwilioDouble) -> None:
    who = patient(time_zone=zone_at(LATE))
    mail = due_message(who, channel="email", status="bounced", work_state="done")
    due_message(who, fallback_of=mail, subject_id=mail.subject_id)
    assert reminders.deliver_messages() == "1 not needed"
    assert StaffTask.objects.get().kind == "call"


def test_by_day_the_provider_keeps_a_text_until_the_evening_at_most(twilio: TwilioDouble) -> None:
    who = patient(time_zone=zone_at(18))
    row = due_text(who, useful_until=timezone.now() + timedelta(hours=20))
    assert reminders.deliver_due() == "1 done"
    assert int(twilio.sent[0].form["ValidityPeriod"]) <= 2 * 3600
    assert stored(row).useful_until == row.useful_until


@pytest.mark.parametrize(("hours_on", "told"), [(1, "1 done"), (3, "1 released")])
def test_a_text_that_waited_for_a_thread_leaves_by_closing_or_not_at_all(
    hours_on: int, told: str, twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, take_up = timezone.now(), side_by_side.SideBySide._take_up
    due_text(patient(time_zone=zone_at(18)), useful_until=now + timedelta(hours=20))

    def later(self: Any, group: Any, *rest: Any) -> None:
        monkeypatch.setattr("workers.senders.timezone.now", lambda: now + timedelta(hours=hours_on))
        take_up(self, group, *rest)

    monkeypatch.setattr(side_by_side.SideBySide, "_take_up", later)
    assert reminders.deliver_due() == told
    closes = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    left = (closes - now).total_seconds() - hours_on * 3600
    assert all(abs(int(sms.form["ValidityPeriod"]) - left) < 2 for sms in twilio.sent)
    assert len(twilio.sent) == (told == "1 done")


def test_a_mail_instead_of_a_text_too_many_helps_as_long_as_the_text_would_have(twilio: TwilioDouble) -> None:
    who = patient(time_zone=zone_at(18))
    rows = [due_message(who, useful_until=timezone.now() + timedelta(hours=20)) for _ in range(2)]
    assert reminders.deliver_messages() == "1 done, 1 not needed"
    mail = PatientMessage.objects.get(fallback_of__in=rows)
    assert mail.useful_until == stored(mail.fallback_of).useful_until


def test_who_has_just_texted_is_answered_at_any_hour(twilio: TwilioDouble) -> None:
    due_message(patient(time_zone=zone_at(LATE)), wording="choose")
    assert reminders.deliver_messages() == "1 done"


def test_a_text_that_waits_for_the_morning_is_not_the_one_that_probes(twilio: TwilioDouble, settings: Any) -> None:
    rows = [due_text(patient(time_zone=zone_at(LATE)), lane=0, useful_until=timezone.now() + timedelta(hours=20))]
    rows += [due_text() for _ in range(2)]
    twilio.refuse_next(20003, status=401, times=2)
    reminders.deliver_due()
    assert stored(rows[0]).due_at > timezone.now()
