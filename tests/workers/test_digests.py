"""Holds the digest: one text a day tells a family of all its visits, and all of them share what becomes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from backend.apps.appointments import reminder_actions, services
from backend.apps.appointments.models import AppointmentReminder, ReminderPolicy
from integrations.doubles.twilio import TwilioDouble
from tests.workers.rows import stored
from tests.workers.texts import due_text, mail_after_text, number, patient
from tests.workers.tries import told
from workers import provider_events, reminders, sending, side_by_side
from workers.runner import HandlerBug

pytestmark = pytest.mark.django_db


@pytest.fixture
def phone() -> str:
    return number()


def later_today(who: Any, **over: Any) -> AppointmentReminder:
    """Save a text of another visit that would leave later on the same day (of the recipient's calendar)."""
    return due_text(who, due_at=timezone.now() + timedelta(seconds=20), **over)


def family(phone: str, count: int = 3) -> list[Any]:
    return [patient(phone=phone) for _ in range(count)]


def test_r44_one_text_tells_a_family_of_all_its_visits_of_the_day(twilio: TwilioDouble, phone: str) -> None:
    mother, child, other = family(phone)
    first, second = due_text(mother), due_text(child)
    third = later_today(other)
    stranger = due_text()
    assert reminders.deliver_due() == "4 done"
    texts = [sms for sms in twilio.sent if sms.to == phone]
    assert len(texts) == 1
    assert "Reply 1" not in texts[0].body
    assert texts[0].body.count(" at ") == 3
    told = [stored(row) for row in (first, second, third)]
    assert {(row.status, row.work_state, row.recipient_phone) for row in told} == {("sent", "done", phone)}
    assert [row.digest_of_id for row in told] == [None, first.pk, first.pk]
    assert {row.external_id for row in told} == {texts[0].sid}
    assert stored(stranger).digest_of_id is None


def test_two_visits_of_one_patient_are_one_text_too(twilio: TwilioDouble, phone: str) -> None:
    who = patient(phone=phone)
    due_text(who)
    due_text(who)
    assert reminders.deliver_due() == "2 done"
    assert len(twilio.sent) == 1


def test_what_is_due_tomorrow_waits_for_its_own_text(twilio: TwilioDouble, phone: str) -> None:
    mother, child, _ = family(phone)
    due_text(mother)
    row = due_text(child, due_at=timezone.now() + timedelta(days=1, hours=1))
    assert reminders.deliver_due() == "1 done"
    assert stored(row).work_state == "waiting"


def test_a_visit_nobody_awaits_any_more_is_not_told_of(twilio: TwilioDouble, phone: str) -> None:
    mother, child, other = family(phone)
    due_text(mother)
    row = later_today(child)
    services.cancel(row.appointment, by=None, reason="rain")
    no_consent = later_today(other)
    type(other).objects.filter(pk=other.pk).update(sms_consent=False)
    assert reminders.deliver_due() == "1 done"
    assert twilio.sent[0].body.count(" at ") == 1
    assert stored(no_consent).work_state == "waiting"


def test_a_follower_that_another_worker_has_leased_is_taken_from_it(twilio: TwilioDouble, phone: str) -> None:
    mother, child, _ = family(phone)
    row = due_text(child)
    (leased,) = AppointmentReminder.work.lease(1)
    leader = due_text(mother)
    assert reminders.deliver_due() == "2 done"
    assert stored(row).digest_of_id == leader.pk
    assert not leased.begin()


@pytest.mark.parametrize(
    ("goes_wrong", "states"),
    [
        ({"status": 400, "body": {"code": 21211, "message": "no", "status": 400}}, ("failed", "failed")),
        ({"drop": True, "accepted": True}, ("held", "pending")),
        ({"status": 500, "body": {"code": 20500, "message": "no", "status": 500}}, ("waiting", "pending")),
    ],
)
def test_r44_who_was_told_in_one_text_shares_what_becomes_of_it(
    twilio: TwilioDouble, phone: str, goes_wrong: dict[str, Any], states: tuple[str, str]
) -> None:
    rows = [due_text(who) for who in family(phone, 2)] + [later_today(patient(phone=phone))]
    twilio.fail_next(**goes_wrong)
    reminders.deliver_due()
    assert {(stored(row).work_state, stored(row).status) for row in rows} == {states}
    assert len(twilio.requests) == 1


def test_a_second_try_tells_of_the_same_visits(twilio: TwilioDouble, phone: str) -> None:
    rows = [due_text(who) for who in family(phone, 2)]
    twilio.fail_next(500, {"code": 20500, "message": "no", "status": 500})
    reminders.deliver_due()
    AppointmentReminder.objects.update(due_at=timezone.now() - timedelta(minutes=5))
    assert reminders.deliver_due() == "2 done"
    assert len(twilio.sent) == 1
    assert {stored(row).status for row in rows} == {"sent"}


def test_who_was_to_be_told_with_a_text_that_could_not_be_prepared_ends_by_its_own(
    twilio: TwilioDouble, phone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (due_text(who) for who in family(phone, 2))
    usual, usual_facts = sending.note_all, sending.facts_of

    def note_all(notes: Any) -> Any:
        if len(notes) == 2:
            raise OperationalError
        return usual(notes)

    def facts_of(rows: Any, house: Any) -> Any:
        if [row.pk for row in rows] == [first.pk]:
            raise OperationalError
        return usual_facts(rows, house)

    monkeypatch.setattr(sending, "note_all", note_all)
    monkeypatch.setattr(sending, "facts_of", facts_of)
    monkeypatch.setattr(side_by_side, "FLUSH_S", 0.0)  # the end of the first is written down while the other is sent
    with pytest.raises(HandlerBug):
        reminders.deliver_due()
    assert (stored(first).work_state, stored(second).status, len(twilio.sent)) == ("waiting", "sent", 1)


def test_a_worker_that_dies_while_it_writes_down_a_failed_text_leaves_nobody_to_be_tried_alone(
    twilio: TwilioDouble, phone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, usual, written = [due_text(who) for who in family(phone, 2)], sending.end_badly, list[Any]()

    def end_badly(end: Any, error: Exception) -> str:
        if written:
            raise SystemExit
        written.append(end.item.pk)
        return usual(end, error)

    monkeypatch.setattr(sending, "end_badly", end_badly)
    twilio.fail_next(500, {"code": 20500, "message": "no", "status": 500})
    with pytest.raises(SystemExit):
        reminders.deliver_due()
    assert {stored(row).work_state for row in rows} == {"running"}


def test_what_becomes_of_a_failed_text_that_is_tried_again_is_its_own(twilio: TwilioDouble, phone: str) -> None:
    ReminderPolicy.objects.all().delete()  # no mail takes its place
    first, second = (due_text(who) for who in family(phone, 2))
    twilio.refuse_next(30007)
    assert reminders.deliver_due() == "2 failed"
    reminder_actions.send_now(stored(first), by=None)
    AppointmentReminder.objects.filter(pk=first.pk).update(due_at=timezone.now() - timedelta(minutes=5))
    assert reminders.deliver_due() == "1 done"
    told(first, "delivered", attempt_id=f"{first.pk}.2", message_id=stored(first).external_id)
    provider_events.apply()
    assert [stored(row).status for row in (first, second)] == ["delivered", "failed"]
    assert stored(second).digest_of_id is None


def test_each_of_a_family_falls_back_to_its_own_mailbox(twilio: TwilioDouble, phone: str) -> None:
    mail_after_text()
    people = family(phone, 2)
    for who in people:
        due_text(who)
    twilio.refuse_next(30007)
    assert reminders.deliver_due() == "2 failed"
    assert reminders.deliver_due() == "2 done"
    mails = AppointmentReminder.objects.filter(reminder_type="email", status="sent")
    assert {mail.recipient_email for mail in mails} == {who.email for who in people}
