"""Holds delivery: one send whoever is at work, a stopped provider burns nothing, and each failure costs only itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.models import Alert, Clinic
from backend.apps.core.work import begin_all
from backend.apps.messaging.models import PatientMessage, Sender, StaffTask
from backend.apps.messaging.wording import Wordings
from backend.apps.patients import contacts
from integrations.doubles.twilio import TwilioDouble
from tests.workers.rows import CANARY, stored
from tests.workers.texts import due_message, due_text, mail_after_text, patient
from workers import reminders, sweep
from workers.runner import HandlerBug
from workers.sending import Sending
from workers.side_by_side import Call, End

pytestmark = pytest.mark.django_db


def let_it_probe() -> None:
    """Let the pause of every sender be over."""
    Sender.objects.update(paused_until=timezone.now() - timedelta(seconds=1))


def due_again(*rows: Any) -> None:
    """Let the backoff of rows be over."""
    type(rows[0]).objects.filter(pk__in=[row.pk for row in rows]).update(due_at=timezone.now() - timedelta(minutes=9))


def mails(tmp_path: Path) -> list[dict[str, Any]]:
    found = [json.loads(file.read_text()) for file in sorted((tmp_path / "outbox").glob("*.json"))]
    return [one for one in found if one["kind"] == "email"]


@pytest.mark.django_db(transaction=True)
def test_r23_two_beats_and_many_workers_send_each_message_once(twilio: TwilioDouble) -> None:
    twilio.latency_s = 0.01
    Clinic.objects.create(name="Elm Street Clinic")
    rows = [due_text() for _ in range(40)]
    jobs: list[Callable[[], object]] = [reminders.ring_for_due] * 2 + [reminders.deliver_due] * 4
    barrier, told = threading.Barrier(len(jobs)), list[object]()

    def run(job: Callable[[], object]) -> None:
        barrier.wait()
        try:
            told.append(job())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == len(jobs)
    assert sorted(sms.to for sms in twilio.sent) == sorted(row.appointment.patient.phone for row in rows)
    assert set(AppointmentReminder.objects.values_list("status", "work_state", "lease_no")) == {("sent", "done", 1)}


def test_the_attempt_travels_with_the_text_and_comes_back_with_its_status(twilio: TwilioDouble, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://clinic.example"
    row = due_text()
    reminders.deliver_due()
    (sms,) = twilio.sent
    assert sms.status_callback == f"https://clinic.example/webhooks/twilio/status?a={row.pk}.1"
    assert (sms.attempt_id, stored(row).external_id) == (f"{row.pk}.1", sms.sid)


def test_r28_too_many_requests_stop_the_whole_sender_for_as_long_as_asked(twilio: TwilioDouble) -> None:
    rows = [due_text() for _ in range(10)]
    twilio.refuse_next(20429, status=429, headers={"Retry-After": "120"}, times=4)
    reminders.deliver_due()
    assert len(twilio.requests) <= 6  # what was on its way already
    sender = Sender.objects.get(channel="sms")
    assert timedelta(seconds=110) < sender.paused_until - timezone.now() <= timedelta(seconds=120)
    waiting = AppointmentReminder.objects.filter(work_state="waiting")
    assert set(waiting.values_list("attempts", flat=True)) == {0}
    assert reminders.deliver_due() == "nothing due"
    twilio._failures.clear()
    let_it_probe()
    assert reminders.deliver_due() == "1 done, 9 released"  # one goes first
    reminders.deliver_due()
    assert {stored(row).status for row in rows} == {"sent"}
    assert not Alert.objects.exists()


def test_a_wrong_key_stops_the_channel_and_burns_no_row(twilio: TwilioDouble) -> None:
    rows = [due_text() for _ in range(10)]
    twilio.refuse_next(20003, status=401, times=50)
    reminders.deliver_due()
    assert {(stored(row).work_state, stored(row).attempts) for row in rows} == {("waiting", 0)}
    alert = Alert.objects.get(kind="reminders_channel_stopped")
    assert "20003" in alert.sentence
    let_it_probe()
    reminders.deliver_due()  # the probe is refused too
    assert alert.is_open
    twilio._failures.clear()
    let_it_probe()
    reminders.deliver_due()
    reminders.deliver_due()
    assert {stored(row).status for row in rows} == {"sent"}
    alert.refresh_from_db()
    assert not alert.is_open


def test_r29_a_provider_that_is_down_gets_probes_only_and_then_what_is_still_useful(
    twilio: TwilioDouble, settings: Any
) -> None:
    settings.TWILIO_BASE_URL = "http://127.0.0.1:9"  # nobody listens there
    useful, stale = [due_text() for _ in range(12)], [due_text() for _ in range(12)]
    reminders.deliver_due()
    sender = Sender.objects.get(channel="sms")
    assert sender.paused_until > timezone.now()
    assert Alert.objects.get(kind="reminders_channel_stopped").is_open
    tried = AppointmentReminder.objects.filter(attempts__gt=0).count()
    assert tried <= 12  # the others wait as if nobody had touched them
    for _ in range(3):
        let_it_probe()
        reminders.deliver_due()
    assert AppointmentReminder.objects.filter(attempts__gt=0).count() <= tried + 3
    settings.TWILIO_BASE_URL = twilio.url
    AppointmentReminder.objects.filter(pk__in=[row.pk for row in stale]).update(
        useful_until=timezone.now() - timedelta(minutes=1)
    )
    due_again(*useful, *stale)
    for _ in range(4):
        let_it_probe()
        reminders.deliver_due()
    assert {stored(row).status for row in useful} == {"sent"}
    assert {stored(row).status for row in stale} == {"suppressed"}
    assert {sms.to for sms in twilio.sent} == {row.appointment.patient.phone for row in useful}


def test_r30_a_number_that_takes_no_texts_is_marked_and_the_mail_goes_once(
    twilio: TwilioDouble, tmp_path: Path
) -> None:
    mail_after_text()
    row = due_text()
    twilio.refuse_next(21614)
    assert reminders.deliver_due() == "1 failed"
    point = contacts.known_at("sms", row.appointment.patient.phone).get()
    assert point.unusable_code == "twilio:21614"
    assert StaffTask.objects.get().kind == "fix_contact"
    assert reminders.deliver_due() == "1 done"
    assert [mail["to"] for mail in mails(tmp_path)] == [row.appointment.patient.email]
    assert reminders.deliver_due() == "nothing due"
    assert stored(row).error_code == "twilio:21614"


def test_an_owner_who_opted_out_at_the_provider_is_opted_out_here_too(twilio: TwilioDouble) -> None:
    row = due_text()
    twilio.refuse_next(21610)
    reminders.deliver_due()
    row.appointment.patient.refresh_from_db()
    assert not row.appointment.patient.sms_consent
    assert contacts.known_at("sms", row.appointment.patient.phone).get().opted_out_at


def test_r31_when_the_mail_fails_too_somebody_is_asked_to_call(twilio: TwilioDouble) -> None:
    mail_after_text()
    row = due_text(patient(email="nobody at example.org"))
    twilio.refuse_next(30004)
    reminders.deliver_due()
    assert reminders.deliver_due() == "1 failed"
    task = StaffTask.objects.get(kind="call")
    assert (task.patient, task.subject_id) == (row.appointment.patient, row.appointment_id)
    assert AppointmentReminder.objects.count() == 2  # no third try, and none back on the first channel


def test_r32_a_text_says_until_when_it_helps(twilio: TwilioDouble) -> None:
    due_text(useful_until=timezone.now() + timedelta(minutes=30))
    reminders.deliver_due()
    assert 1700 <= int(twilio.sent[0].form["ValidityPeriod"]) <= 1800


def test_r33_one_bad_recipient_does_not_stop_the_batch(twilio: TwilioDouble) -> None:
    rows = [due_text() for _ in range(9)]
    twilio.refuse_next(21211)
    assert reminders.deliver_due() == "8 done, 1 failed"
    assert sorted(stored(row).status for row in rows) == ["failed"] + ["sent"] * 8


@pytest.mark.parametrize("code", [21408, 21608, 21612])
def test_r33_a_number_our_account_may_not_write_to_costs_its_own_row_only(twilio: TwilioDouble, code: int) -> None:
    mail_after_text()
    rows = [due_text() for _ in range(3)]
    twilio.refuse_next(code)
    assert reminders.deliver_due() == "2 done, 1 failed"
    [failed] = [row for row in map(stored, rows) if row.status == "failed"]
    assert AppointmentReminder.objects.get(fallback_of=failed).reminder_type == "email"
    assert f"twilio:{code}" in Alert.objects.get(kind="messages_blocked").sentence


def test_r34_a_poisonous_template_costs_only_its_own_rows_and_does_not_loop(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = due_text(), due_text(patient(email=""), wording="soon")
    usual = Wordings.render

    def render(self: Wordings, kind: str, *rest: Any) -> Any:
        if kind == "soon":
            raise KeyError(CANARY)
        return usual(self, kind, *rest)

    monkeypatch.setattr(Wordings, "render", render)
    for _ in range(3):
        with pytest.raises(HandlerBug, match=r"^KeyError in reminders\.deliver$"):
            reminders.deliver_due()
        due_again(bad)
    assert reminders.deliver_due() == "nothing due"
    assert (stored(good).status, stored(bad).status, stored(bad).attempts) == ("sent", "failed", 3)
    assert StaffTask.objects.get().kind == "call"
    assert CANARY not in caplog.text


def test_r35_the_rate_is_obeyed_and_what_is_nearest_goes_first(twilio: TwilioDouble, settings: Any) -> None:
    settings.SMS_PER_SECOND = 0.01  # a burst of ten, then one in a hundred seconds
    later = [due_text(lane=3) for _ in range(8)]
    soon = [due_text(lane=0) for _ in range(6)]
    assert reminders.deliver_due() == "10 done"
    assert reminders.deliver_due() == "nothing due"
    assert {stored(row).status for row in soon} == {"sent"}
    assert sum(stored(row).status == "sent" for row in later) == 4
    Sender.objects.update(refilled_at=timezone.now() - timedelta(seconds=250))
    assert reminders.deliver_due() == "2 done"


def test_r35_what_is_nearest_goes_first_whatever_kind_it_is(twilio: TwilioDouble, settings: Any) -> None:
    settings.SMS_PER_SECOND = 0.01
    for _ in range(12):
        due_text(lane=1)
    offers = [due_message(lane=0) for _ in range(3)]
    answers = [due_message(lane=1, wording="choose") for _ in range(2)]
    assert reminders.deliver_due() == "5 done"  # three tokens are left to what goes first, two to its equals
    assert reminders.deliver_messages() == "4 done"
    assert {stored(row).status for row in offers} == {"sent"}
    assert sorted(stored(row).status for row in answers) == ["pending", "sent"]
    assert reminders.deliver_due() == "1 done"


def test_a_batch_is_worked_on_lane_by_lane_too(twilio: TwilioDouble) -> None:
    late = due_text(lane=3, due_at=timezone.now() - timedelta(minutes=9))
    soon = due_text(lane=0, due_at=timezone.now() - timedelta(minutes=1))
    assert [row.pk for row in AppointmentReminder.work.lease(2)] == [soon.pk, late.pk]


def test_a_full_lease_takes_earlier_lanes_only_and_locks_nothing_of_the_later_ones() -> None:
    for lane in (3, 2, 1, 0):  # the later the lane, the longer due
        for minute in (40, 20):
            due_text(lane=lane, due_at=timezone.now() - timedelta(minutes=minute + 60 * lane))
    leased = AppointmentReminder.work.lease(3)
    assert [row.lane for row in leased] == [0, 0, 1]
    assert leased[0].due_at < leased[1].due_at
    with connection.cursor() as cursor:
        cursor.execute("SELECT lane FROM appointments_appointmentreminder WHERE xmax <> 0 AND work_state = 'waiting'")
        assert cursor.fetchall() == []


def test_a_text_of_several_segments_costs_as_many(twilio: TwilioDouble, settings: Any) -> None:
    settings.SMS_PER_SECOND = 0.001
    Clinic.objects.all().delete()
    Clinic.objects.create(name="Clínica de la Familia y de los Niños " * 3)
    row = due_text()
    reminders.deliver_due()
    paid = stored(row).segments
    assert paid > 1
    assert Sender.objects.get(channel="sms").tokens == pytest.approx(10 - paid, abs=0.1)


def test_a_lost_answer_is_held_and_not_repeated(twilio: TwilioDouble) -> None:
    row = due_text()
    twilio.fail_next(drop=True, accepted=True)
    assert reminders.deliver_due() == "1 held"
    after = stored(row)
    assert (after.work_state, after.status) == ("held", "pending")
    assert after.uncertain_since
    assert reminders.deliver_due() == "nothing due"


def test_a_report_that_came_first_is_not_lowered_by_our_own_outcome(twilio: TwilioDouble) -> None:
    row = due_text()
    sending = Sending(AppointmentReminder, ("appointment__patient",), reminders.why_not_remind)
    (leased,) = sending.lease(1)
    leased.begin()
    (call,) = sending.prepare([leased])
    assert isinstance(call, Call)
    saved = call.speak()
    stored(row).mark_as_delivered()
    sending.settle([End(leased, saved, spoke=True)])
    assert (stored(row).status, stored(row).work_state) == ("delivered", "done")


def test_a_text_whose_hours_ended_before_a_backlog_let_it_leave_is_told_by_mail_while_that_helps(
    twilio: TwilioDouble,
) -> None:
    mail_after_text()
    now, ended = timezone.now(), {"useful_until": timezone.now() - timedelta(minutes=1)}
    evening = due_text(scheduled_send_time=now - timedelta(minutes=40), **ended)
    lost = due_text(scheduled_send_time=now - timedelta(hours=7), **ended)
    assert reminders.deliver_due().endswith("2 not needed")
    assert (stored(evening).status, stored(lost).status) == ("suppressed", "suppressed")
    mail = AppointmentReminder.objects.get(fallback_of__isnull=False)
    assert (mail.fallback_of, mail.reminder_type, mail.status) == (evening, "email", "pending")
    assert mail.useful_until == evening.scheduled_send_time + timedelta(hours=6)
    assert twilio.sent == []


def test_other_messages_leave_by_the_same_rules(twilio: TwilioDouble) -> None:
    fresh, stale = due_message(), due_message(useful_until=timezone.now() - timedelta(minutes=1))
    gone = due_message(patient(sms_consent=False))
    assert reminders.deliver_messages() == "1 done, 2 not needed"
    assert (stored(fresh).status, stored(fresh).external_id) == ("sent", twilio.sent[0].sid)
    assert stored(stale).status_reason == "It is too late for this message."
    assert PatientMessage.objects.get(fallback_of=gone).channel == "email"


def test_sweep_and_beat_ring_for_what_is_due(rung: list[str]) -> None:
    due_message()
    assert reminders.ring_for_due() == "rang for 1 of 1"
    due_text()
    sweep.overdue()
    assert sorted(set(rung)) == ["reminders.deliver", "reminders.deliver_messages"]


def test_a_budget_that_is_spent_puts_the_rest_back_and_rings(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch, rung: list[str]
) -> None:
    rows = [due_text() for _ in range(6)]
    monkeypatch.setattr("workers.side_by_side.BUDGET_S", -1.0)
    assert reminders.deliver_due() == "6 put back"
    assert {(stored(row).work_state, stored(row).attempts) for row in rows} == {("waiting", 0)}
    assert rung == ["reminders.deliver"]


def test_twenty_mails_about_cancelled_visits_ask_the_database_no_more_than_two(twilio: TwilioDouble) -> None:
    asked = []
    for count in (2, 20):
        for _ in range(count):
            visit = due_text().appointment
            services.cancel(visit, by=None, reason="rain")
            due_message(visit.patient, channel="email", wording="cancelled", subject_id=visit.pk)
        sending = Sending(PatientMessage, ("patient",), reminders.why_not_tell)
        rows = begin_all(sending.lease(50))
        with CaptureQueriesContext(connection) as queries:
            calls = sending.prepare(rows)
        assert sum(isinstance(call, Call) for call in calls) == count
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_twenty_messages_ask_the_database_no_more_than_two(twilio: TwilioDouble) -> None:
    asked = []
    for count in (2, 20):
        for _ in range(count):
            due_text()
        sending = Sending(AppointmentReminder, ("appointment__patient",), reminders.why_not_remind)
        rows = begin_all(sending.lease(50))
        with CaptureQueriesContext(connection) as queries:
            calls = sending.prepare(rows)
            sending.settle([End(row, {"external_id": str(row.pk)}, spoke=True) for row in rows])
        assert len(calls) == count
        asked.append(len(queries))
    assert asked[0] == asked[1] < 25
