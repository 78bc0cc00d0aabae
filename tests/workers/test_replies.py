"""Holds what a patient's text does: once, for the right visit, and nothing where somebody would have to guess."""

from __future__ import annotations

import itertools
import json
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.models import AuditLog
from backend.apps.messaging import links
from backend.apps.messaging.models import InboundText, PatientMessage, ProviderEvent, StaffTask
from backend.apps.patients import consents
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import reached_at
from backend.apps.users.tests.factories import make_user
from integrations.doubles.twilio import inbound_form
from tests.support.races import wait_until_waited_for
from workers import provider_events, replies
from workers.reminders import deliver_messages

pytestmark = pytest.mark.django_db

NUMBER, OURS = "+14155550123", "+14155550199"
counter = itertools.count(1)


@pytest.fixture(autouse=True)
def our_number(settings: Any, rung: list[str]) -> None:
    settings.TWILIO_FROM = OURS


def received(body: str, *, sender: str = NUMBER, at: datetime | None = None, **more: Any) -> ProviderEvent:
    """Save the event of a text, as the webhook does."""
    form = inbound_form(sender, more.pop("to", OURS), body, sid=f"SM{next(counter):032d}", **more)
    event = ProviderEvent.objects.create(
        provider="twilio",
        kind="inbound",
        message_id=form["MessageSid"],
        payload=form,
        dedupe_key=f"twilio-in:{form['MessageSid']}",
    )
    if at is not None:
        ProviderEvent.objects.filter(pk=event.pk).update(created_at=at)
        event.refresh_from_db()
    return event


def text(body: str, **how: Any) -> InboundText:
    """Let a text come in and be read."""
    event = received(body, **how)
    replies.handle(event)
    return InboundText.objects.get(sid=event.message_id)


def patient(**over: Any) -> Patient:
    return make_reachable_patient(**{"phone": NUMBER, **over})  # type: ignore[no-any-return]  # the factory has no type


def reminded(whose: Patient | None = None, **over: Any) -> AppointmentReminder:
    """Save a visit tomorrow of which a text reminded."""
    tomorrow = timezone.now() + timedelta(hours=20, minutes=30 * next(counter))
    visit = make_appointment(patient=whose or patient(), appointment_datetime=over.pop("starts_at", tomorrow))
    sent = {"status": "sent", "work_state": "done", "sent_at": timezone.now(), "recipient_phone": NUMBER}
    return make_reminder(appointment=visit, **{**sent, **over})


def visit_of(reminder: AppointmentReminder) -> Appointment:
    return Appointment.objects.get(pk=reminder.appointment_id)


class TestAnswers:
    @pytest.mark.parametrize("body", ["1", "Yes!", "sí 👍", " C ", "yes please"])
    def test_r40_a_yes_in_any_form_confirms_the_visit(self, body: str) -> None:
        reminder = reminded()
        answer = text(body)
        assert visit_of(reminder).status == "confirmed"
        told = (answer.outcome, answer.answers_id, answer.patient)
        assert told == ("confirmed", reminder.pk, reminder.appointment.patient)
        row = AuditLog.objects.get(action="reply.confirm")
        assert (row.user_id, row.patient_id) == (None, answer.patient_id)
        assert row.resource_id == str(reminder.appointment_id)

    def test_the_same_text_told_twice_is_one_text(self) -> None:
        reminded()
        event = received("1")
        assert [replies.handle(event)["outcome"] for _ in range(2)] == ["applied", "unchanged"]
        assert InboundText.objects.count() == 1
        assert AuditLog.objects.filter(action="reply.confirm").count() == 1

    def test_yes_to_a_visit_that_is_confirmed_changes_nothing(self) -> None:
        reminder = reminded()
        services.confirm(visit_of(reminder), by=None)
        version = visit_of(reminder).version
        assert text("yes").outcome == "confirmed"
        assert visit_of(reminder).version == version

    @pytest.mark.parametrize("body", ["2", "reschedule please", "cambiar"])
    def test_a_wish_for_another_time_is_one_task_for_the_front_desk(self, body: str) -> None:
        reminder = reminded()
        assert [text(body).outcome for _ in range(2)] == ["task", "task"]
        task = StaffTask.objects.get()
        told = (task.kind, task.patient_id, task.subject_id)
        assert told == ("reschedule", reminder.appointment.patient_id, reminder.appointment_id)
        assert visit_of(reminder).status == "scheduled"

    @pytest.mark.parametrize("body", ["", "who is this?", "yes but later", "help"])
    def test_what_no_machine_should_decide_waits_for_a_person(self, body: str) -> None:
        reminder = reminded()
        answer = text(body)
        assert (answer.outcome, answer.handled_at, answer.patient) == ("inbox", None, reminder.appointment.patient)
        assert visit_of(reminder).status == "scheduled"
        assert not PatientMessage.objects.exists()

    def test_an_answer_after_the_visit_was_cancelled_or_began_waits_for_a_person(self) -> None:
        cancelled = reminded()
        services.cancel(visit_of(cancelled), by=None, reason="ill")
        assert text("1").outcome == "inbox"
        begun = reminded(starts_at=timezone.now() - timedelta(minutes=5))
        assert text("1").outcome == "inbox"
        assert [visit_of(one).status for one in (cancelled, begun)] == ["cancelled", "scheduled"]

    def test_an_answer_to_the_old_time_does_not_confirm_the_new_one(self) -> None:
        reminder = reminded()
        later = reminder.appointment.appointment_datetime + timedelta(days=1)
        services.change(visit_of(reminder), by=None, appointment_datetime=later, availability_override_reason="asked")
        assert text("1").outcome == "inbox"
        assert visit_of(reminder).status == "scheduled"

    @pytest.mark.parametrize(
        "doubt",
        [
            {"status": "failed"},
            {"reminder_type": "email"},
            {"recipient_phone": "+14155550188"},
        ],
    )
    def test_a_reminder_that_did_not_reach_this_number_is_not_answered(self, doubt: dict[str, Any]) -> None:
        reminder = reminded(**doubt)
        assert text("1").outcome == "inbox"
        assert visit_of(reminder).status == "scheduled"

    def test_a_text_to_another_number_of_ours_or_from_somebody_elses_confirms_nothing(self) -> None:
        reminder = reminded()
        assert text("1", to="+14155550144").outcome == "inbox"
        moved = reminder.appointment.patient
        moved.phone = "+14155550111"
        moved.save()
        assert text("1").outcome == "inbox"
        assert visit_of(reminder).status == "scheduled"

    @pytest.mark.parametrize("wording", ["waitlist_offer", "recall", "no_show"])
    def test_yes_after_an_offered_time_is_not_taken_for_the_visit(self, wording: str) -> None:
        reminder = reminded(sent_at=timezone.now() - timedelta(hours=1))
        PatientMessage.objects.create(
            patient=reminder.appointment.patient, channel="sms", wording=wording, status="sent",
            work_state="done", sent_at=timezone.now(), scheduled_send_time=timezone.now(), recipient_phone=NUMBER,
            dedupe_key="offer:1",
        )  # fmt: skip
        assert text("yes").outcome == "inbox"
        assert visit_of(reminder).status == "scheduled"

    def test_yes_after_a_text_about_a_visit_that_was_cancelled_since_confirms_no_other_one(self) -> None:
        child = reminded(sent_at=timezone.now() - timedelta(hours=2))
        other = reminded(sent_at=timezone.now() - timedelta(hours=1))
        services.cancel(visit_of(other), by=None, reason="ill")
        assert text("yes").outcome == "inbox"
        assert visit_of(child).status == "scheduled"

    def test_what_we_wrote_after_the_answer_or_as_a_question_back_does_not_make_it_doubtful(self) -> None:
        reminder, now = reminded(sent_at=timezone.now() - timedelta(hours=3)), timezone.now()
        sent = {"channel": "sms", "status": "sent", "work_state": "done", "recipient_phone": NUMBER}
        for wording, at in (("choose", now - timedelta(hours=2)), ("recall", now)):
            PatientMessage.objects.create(
                patient=reminder.appointment.patient, wording=wording, sent_at=at, scheduled_send_time=at,
                dedupe_key=f"{wording}:1", **sent,
            )  # fmt: skip
        assert text("yes", at=now - timedelta(hours=1)).outcome == "confirmed"


class TestSharedNumbers:
    def test_r41_on_a_shared_number_nothing_is_guessed_and_the_front_desk_asks(self) -> None:
        both = [reminded(), reminded()]
        answers = [text("1"), text("Yes"), text("2")]
        assert {(one.outcome, one.patient, one.answers_id) for one in answers} == {("ambiguous", None, None)}
        assert [visit_of(one).status for one in both] == ["scheduled", "scheduled"]
        task = StaffTask.objects.get()
        assert (task.kind, task.patient, task.subject_id) == ("ask_who", None, answers[0].pk)

    def test_r41_one_answer_an_hour_goes_back_with_a_link_and_without_a_name(self) -> None:
        newest = [reminded(), reminded()][-1]
        for _ in range(3):
            text("1")
        message = PatientMessage.objects.get()
        assert (message.wording, message.channel, message.subject_id) == ("choose", "sms", newest.appointment_id)
        assert (message.recipient_phone, message.lane, message.status) == (NUMBER, 2, "pending")
        PatientMessage.objects.update(created_at=timezone.now() - timedelta(hours=2))
        text("1")
        assert PatientMessage.objects.count() == 2

    def test_the_answer_that_goes_back_holds_a_link_and_says_nothing_of_visit_or_person(
        self, settings: Any, tmp_path: Path
    ) -> None:
        settings.SMS_TRANSPORT, settings.DATA_DIR = "sandbox", tmp_path
        newest = [reminded(patient(first_name="Zebedee")), reminded(patient(first_name="Zebedee"))][-1]
        text("1")
        PatientMessage.objects.update(due_at=timezone.now() - timedelta(minutes=1))
        assert deliver_messages() == "1 done"
        (sent,) = (json.loads(file.read_text()) for file in (tmp_path / "outbox").glob("*.json"))
        assert sent["to"] == NUMBER
        assert "Zebedee" not in sent["body"]
        token = sent["body"].split("/a/")[1].split()[0]
        link = links.find(token)
        assert link is not None
        assert (link.purpose, link.subject_id) == ("choose", newest.appointment_id)

    def test_two_visits_of_one_patient_are_two(self) -> None:
        one = patient()
        reminded(one), reminded(one)
        assert text("1").outcome == "ambiguous"

    def test_two_reminders_of_one_visit_are_one(self) -> None:
        reminder = reminded()
        services.confirm(visit_of(reminder), by=None)
        again = visit_of(reminder)
        sent = {"status": "delivered", "work_state": "done", "sent_at": timezone.now(), "recipient_phone": NUMBER}
        newer = make_reminder(appointment=again, offset_minutes=120, **sent)
        assert text("1").answers_id == newer.pk

    def test_an_answer_to_a_text_that_told_of_several_visits_is_for_a_person(self) -> None:
        leader = reminded()
        follower = reminded(digest_of=leader, recipient_phone="")
        assert text("1").outcome == "ambiguous"
        assert visit_of(follower).status == visit_of(leader).status == "scheduled"

    def test_a_machine_that_answers_every_text_is_not_answered(self) -> None:
        reminded(), reminded()
        for _ in range(6):
            text("thank you for your message")
        assert text("1").outcome == "ambiguous"
        assert not PatientMessage.objects.exists()

    @pytest.mark.parametrize("number", ["22395", "whatsapp:+1415"])
    def test_what_is_no_phone_is_not_answered(self, number: str) -> None:
        reminded(recipient_phone=number), reminded(recipient_phone=number)
        reached_at(*Patient.objects.all(), phone="")
        text("1", sender=number)
        assert not PatientMessage.objects.exists()

    def test_a_number_that_opted_out_is_not_answered(self) -> None:
        reminded(), reminded()
        consents.stop(NUMBER, evidence="SM1")
        assert text("1").outcome == "ambiguous"
        assert not PatientMessage.objects.exists()


class TestStopAndStart:
    @pytest.mark.parametrize("body", ["CANCEL", "End", "quit!", "STOP", "please stop texting me"])
    def test_r39_the_words_of_an_opt_out_end_the_texts_and_leave_the_visit(self, body: str) -> None:
        reminder = reminded()
        answer = text(body)
        assert (answer.outcome, visit_of(reminder).status) == ("opted_out", "scheduled")
        one = reminder.appointment.patient
        one.refresh_from_db()
        assert one.sms_consent is False
        assert one.consents.get().evidence == answer.sid

    def test_r38_stop_holds_for_everybody_on_the_number_and_for_what_a_worker_has_in_hand(self) -> None:
        child = patient()
        waiting, leased = reminded(status="pending", sent_at=None), reminded(child, status="pending", sent_at=None)
        AppointmentReminder.objects.filter(pk=leased.pk).update(work_state="running", begun_at=timezone.now())
        text("STOP")
        for reminder in AppointmentReminder.objects.filter(pk__in=[waiting.pk, leased.pk]):
            assert services.why_not(reminder, now=timezone.now()) is not None
            assert reminder.status == "pending"  # decided late: it may still go by e-mail

    def test_r37_after_stop_and_start_there_are_text_messages_again(self) -> None:
        one = patient()
        visit = services.book(
            by=make_user(role="receptionist"), patient=one, doctor=make_appointment().doctor,
            appointment_datetime=timezone.now() + timedelta(days=9), availability_override_reason="asked",
        )  # fmt: skip
        text("STOP")
        assert text("START").outcome == "opted_in"
        planned = visit.reminders.filter(reminder_type="sms", status="pending")
        assert [services.why_not(one, now=one.scheduled_send_time) for one in planned] == [None] * len(planned)
        assert planned

    def test_start_of_a_stranger_changes_nothing(self) -> None:
        patient(sms_consent=False)
        assert text("START").outcome == "nothing"
        assert not Patient.objects.filter(sms_consent=True).exists()

    def test_the_order_in_which_two_texts_are_read_does_not_matter(self) -> None:
        one, now = patient(), timezone.now()
        stop = received("STOP", at=now - timedelta(minutes=2))
        start = received("START", at=now - timedelta(minutes=1))
        replies.handle(start)
        replies.handle(stop)
        one.refresh_from_db()
        assert one.sms_consent is True
        assert InboundText.objects.get(sid=stop.message_id).outcome == "nothing"


class TestTheWay:
    def test_a_text_that_came_by_the_webhook_is_read_by_the_worker_of_provider_events(self) -> None:
        reminder = reminded()
        event = received("1")
        ProviderEvent.objects.update(due_at=timezone.now() - timedelta(minutes=1))
        assert provider_events.apply() == "1 done"
        event.refresh_from_db()
        assert (event.outcome, event.work_state) == ("applied", "done")
        assert visit_of(reminder).status == "confirmed"

    def test_a_text_longer_than_any_is_kept(self) -> None:
        assert len(text("x" * 5000).body) == 5000


@pytest.mark.django_db(transaction=True)
def test_a_yes_that_meets_the_desk_which_moves_the_visit_confirms_no_time_the_patient_never_saw() -> None:
    visit = reminded().appointment
    event = received("1")
    answering = threading.Thread(target=lambda: (replies.handle(event), connection.close()))
    with transaction.atomic():
        Appointment.objects.filter(pk=visit.pk).update(
            appointment_datetime=visit.appointment_datetime + timedelta(hours=1)
        )
        answering.start()
        wait_until_waited_for()
    answering.join(10)
    visit.refresh_from_db()
    assert visit.status == "scheduled"
    assert InboundText.objects.get().outcome == "inbox"
