"""Holds that one message the provider calls our own fault neither stops the others for good nor waits for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.models import Alert
from backend.apps.core.work import begin_all
from backend.apps.messaging import senders
from backend.apps.messaging.models import Sender
from integrations.doubles.server import Answer, Request
from integrations.doubles.twilio import TwilioDouble, error
from integrations.errors import Misconfigured
from tests.workers.rows import stored
from tests.workers.texts import due_text, mail_after_text
from workers import gateways, reminders, side_by_side
from workers.sending import Sending
from workers.side_by_side import Call, End, clocks

pytestmark = pytest.mark.django_db


@pytest.fixture
def refused(twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Numbers of which the provider says that our account may not write there."""
    numbers, usual = set[str](), twilio.take

    def take(request: Request) -> Answer:
        is_theirs = any(number.removeprefix("+") in request.body.decode() for number in numbers)
        return Answer(403, error(29999, 403)) if is_theirs else usual(request)

    monkeypatch.setattr(twilio, "take", take)
    return numbers


def probe() -> str:
    Sender.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
    return reminders.deliver_due()


def test_the_message_a_probe_failed_with_is_not_the_next_probe(twilio: TwilioDouble, refused: set[str]) -> None:
    bad, *good = [due_text(lane=0), *(due_text(lane=1) for _ in range(3))]
    refused.add(bad.appointment.patient.phone)
    Sender.objects.all().delete()
    reminders.deliver_due()
    AppointmentReminder.objects.exclude(pk=bad.pk).update(
        work_state="waiting", status="pending", provider="", sent_at=None, external_id="", begun_at=None
    )
    assert probe() == "1 done, 3 released"  # though the other is the nearest to its visit
    for _ in range(2 * len(good)):  # open again, it may hear the bad one first: then another one is the next probe
        probe()
    assert {stored(row).status for row in good} == {"sent"}


def ready(sending: Sending) -> tuple[AppointmentReminder, Call]:
    """Lease, begin and prepare the one text that is due."""
    (row,) = begin_all(sending.lease(10))
    (call,) = sending.prepare([row])
    assert isinstance(call, Call)
    return row, call


def test_only_the_probe_opens_a_sender_whatever_the_same_run_sent_before_and_then_the_run_goes_on(
    twilio: TwilioDouble,
) -> None:
    sending = Sending(AppointmentReminder, ("appointment__patient",), reminders.why_not_remind)
    sms = Sender.objects.filter(channel="sms")
    due_text()
    on_its_way, _ = ready(sending)
    senders.pause(gateways.sender("sms"), "20429", -1.0)
    due_text()
    probing, _ = ready(sending)
    sending.settle([End(on_its_way, {"external_id": "SM1"}, spoke=True)])
    assert sms.get().paused_since
    sending.settle([End(probing, {"external_id": "SM2"}, spoke=True)])
    assert not sms.get().paused_since
    due_text()
    ready(sending)


def test_a_run_that_has_heard_of_a_wrong_key_leases_no_more_for_that_sender(twilio: TwilioDouble) -> None:
    sending = Sending(AppointmentReminder, ("appointment__patient",), reminders.why_not_remind)
    due_text()
    _, call = ready(sending)
    twilio.refuse_next(20003, status=401)
    with pytest.raises(Misconfigured):
        call.speak()
    mail = due_text(reminder_type="email")
    due_text()
    assert [row.pk for row in sending.lease(10)] == [mail.pk]


def test_what_is_refused_three_times_while_others_are_taken_fails_for_itself(
    twilio: TwilioDouble, refused: set[str]
) -> None:
    mail_after_text()
    bad = due_text()
    refused.add(bad.appointment.patient.phone)
    for _ in range(2):
        due_text()
        reminders.deliver_due()
        due_text()
        assert "1 done" in probe()
        assert not Sender.objects.get(channel="sms").paused_since
        assert stored(bad).work_state == "waiting"
    reminders.deliver_due()
    after = stored(bad)
    assert (after.status, after.error_code) == ("failed", "twilio:29999")
    assert AppointmentReminder.objects.get(fallback_of=bad).reminder_type == "email"
    assert Alert.objects.filter(cause="messages blocked:twilio:29999").exists()
    assert not Sender.objects.get(channel="sms").paused_since


def test_a_wrong_key_counts_against_nobody_however_long_it_is_wrong(twilio: TwilioDouble) -> None:
    rows = [due_text() for _ in range(4)]
    twilio.refuse_next(20003, status=401, times=50)
    reminders.deliver_due()
    for _ in range(6):
        probe()
    twilio._failures.clear()
    probe()
    reminders.deliver_due()
    assert {stored(row).status for row in rows} == {"sent"}


def test_a_worker_that_stood_still_says_nothing_and_gives_back_what_is_still_its_own(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, times = due_text(), iter((0.0, 31.0, 31.0))

    def frozen() -> tuple[float, float]:
        boot, wall = clocks()
        return boot, wall + next(times)

    monkeypatch.setattr(side_by_side, "clocks", frozen)
    assert reminders.deliver_due() == "1 released"
    after = stored(row)
    assert (after.work_state, after.attempts, after.provider) == ("waiting", 0, "")
    assert twilio.sent == []


def test_what_somebody_else_has_taken_meanwhile_stays_as_it_is(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = due_text()

    def is_stale(_since: Any) -> bool:
        return True

    usual = side_by_side.SideBySide._take_up

    def taken_up(self: Any, group: Any, *rest: Any) -> None:
        AppointmentReminder.objects.filter(pk=row.pk).update(work_state="done", status="sent", sent_at=timezone.now())
        usual(self, group, *rest)

    monkeypatch.setattr(side_by_side, "is_stale", is_stale)
    monkeypatch.setattr(side_by_side.SideBySide, "_take_up", taken_up)
    assert reminders.deliver_due() == "nothing due"
    assert (stored(row).status, stored(row).work_state, twilio.sent) == ("sent", "done", [])


def test_nothing_is_said_when_its_time_is_over_before_a_thread_is_free(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = due_text(useful_until=timezone.now() + timedelta(hours=1))
    usual = timezone.now

    def later(self: Any, group: Any, *rest: Any) -> None:
        monkeypatch.setattr("workers.senders.timezone.now", lambda: usual() + timedelta(hours=1))
        take_up(self, group, *rest)

    take_up = side_by_side.SideBySide._take_up
    monkeypatch.setattr(side_by_side.SideBySide, "_take_up", later)
    assert reminders.deliver_due() == "1 released"
    assert (stored(row).work_state, twilio.sent) == ("waiting", [])
