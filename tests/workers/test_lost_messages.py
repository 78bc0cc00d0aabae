"""Holds that a send that was cut off is neither lost nor made twice, whatever the provider can tell about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.appointments import reconcile as books
from backend.apps.core.models import Heartbeat
from backend.apps.laboratory.models import CriticalPage
from backend.apps.laboratory.tests.factories import make_critical_page
from backend.apps.messaging.models import PatientMessage, StaffTask
from integrations.doubles.sendgrid import SendGridDouble
from integrations.doubles.twilio import TwilioDouble
from integrations.email import Email, Found
from integrations.email.sendgrid import SendGridEmail
from integrations.sms import Sms
from tests.workers.rows import HOUR, run_out, stored
from tests.workers.tries import BODY, begun, instead_of, sent, states, told, uncertain
from workers import gateways, lost_messages, provider_events, reminders, sweep
from workers.runner import HandlerBug

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]
OLD = 601.0  # seconds: after `UNCERTAIN_AFTER_S` a send nobody knows of counts as not made
OURS = "+14155550199"


@pytest.fixture(scope="module")
def twilio_server() -> Iterator[TwilioDouble]:
    with TwilioDouble() as running:
        yield running


@pytest.fixture(scope="module")
def sendgrid_server() -> Iterator[SendGridDouble]:
    with SendGridDouble() as running:
        yield running


@pytest.fixture(autouse=True)
def providers(settings: Any) -> Iterator[Any]:
    settings.UNCERTAIN_AFTER_S = 600.0
    settings.SMS_PER_SECOND = settings.EMAILS_PER_SECOND = 1000.0
    gateways._clients.__dict__.clear()
    yield settings
    gateways._clients.__dict__.clear()


@pytest.fixture(autouse=True)
def twilio(providers: Any, twilio_server: TwilioDouble) -> TwilioDouble:
    providers.SMS_TRANSPORT, providers.TWILIO_BASE_URL = "twilio", twilio_server.url
    providers.TWILIO_ACCOUNT_SID, providers.TWILIO_AUTH_TOKEN, providers.TWILIO_FROM = "AC" + "0" * 32, "token", OURS
    twilio_server.sent.clear()
    twilio_server.requests.clear()
    return twilio_server


@pytest.fixture(autouse=True)
def sendgrid(providers: Any, sendgrid_server: SendGridDouble) -> SendGridDouble:
    providers.EMAIL_TRANSPORT, providers.SENDGRID_BASE_URL = "sendgrid", sendgrid_server.url
    providers.SENDGRID_API_KEY, providers.SENDGRID_FROM = "key", "clinic@example.org"
    sendgrid_server.sent.clear()
    sendgrid_server.requests.clear()
    return sendgrid_server


def placed(twilio: TwilioDouble, row: Any, body: str = BODY, **more: Any) -> str:
    """Let Twilio have taken a text to the row's number; return its id."""
    return twilio.place({"To": row.recipient_phone, "From": OURS, "Body": body}, **more).sid


def test_the_answer_was_lost_and_twilio_has_the_text_so_it_is_ours(twilio: TwilioDouble) -> None:
    row = uncertain()
    sid = placed(twilio, row, status="delivered")
    assert lost_messages.reconcile() == "1 adopted"
    after = stored(row)
    assert (after.status, after.work_state, after.external_id) == ("delivered", "done", sid)
    assert (after.uncertain_since, after.last_error) == (None, "")
    assert Heartbeat.objects.get(entry="reconcile uncertain sends").runs == 1


def test_what_twilio_could_not_deliver_is_said_by_mail_as_soon_as_it_is_found(twilio: TwilioDouble) -> None:
    row = uncertain()
    placed(twilio, row, status="undelivered", error_code=30005)
    assert lost_messages.reconcile() == "1 adopted"
    assert states(row) == ("bounced", "done")
    assert instead_of(row) == ["email"]


def test_the_ids_of_other_messages_and_of_pages_to_the_staff_are_not_taken_for_ours(twilio: TwilioDouble) -> None:
    row = uncertain()
    taken = [placed(twilio, row), placed(twilio, row, "a page"), placed(twilio, row, "a message")]
    sent(message_id=taken[0], recipient_phone=row.recipient_phone)
    CriticalPage.objects.filter(pk=make_critical_page().pk).update(external_id=taken[1])
    fields = {"patient": row.patient, "channel": "sms", "scheduled_send_time": timezone.now(), "dedupe_key": "m"}
    PatientMessage.objects.create(**fields, external_id=taken[2], recipient_phone=row.recipient_phone)
    assert lost_messages.reconcile() == "1 uncertain"
    assert stored(row).external_id == ""


def test_while_another_text_to_the_number_is_on_its_way_nothing_is_taken_for_ours(twilio: TwilioDouble) -> None:
    row = uncertain()
    begun(recipient_phone=row.recipient_phone)
    placed(twilio, row)
    assert lost_messages.reconcile() == "1 uncertain"


def test_of_two_lost_texts_to_one_number_each_is_known_by_its_own_words(twilio: TwilioDouble) -> None:
    taken = uncertain(ago_s=OLD)
    lost = uncertain(ago_s=OLD, recipient_phone=taken.recipient_phone, body_sha256="0" * 64)
    sid = placed(twilio, taken)
    type(taken).objects.filter(pk=taken.pk).update(updated_at=timezone.now())  # the other one is looked at first
    assert lost_messages.reconcile() == "1 adopted, 1 back in line"
    assert (stored(taken).external_id, stored(lost).external_id) == (sid, "")


def test_while_two_texts_to_one_number_are_looked_for_none_is_known_by_being_the_only_one(twilio: TwilioDouble) -> None:
    rows = [uncertain(ago_s=OLD)]
    rows.append(uncertain(ago_s=OLD, recipient_phone=rows[0].recipient_phone, body_sha256="0" * 64))
    placed(twilio, rows[0], "in other characters")
    assert lost_messages.reconcile() == "2 uncertain"
    assert {states(row) for row in rows} == {("pending", "held")}


def test_a_text_that_turned_out_to_be_anothers_while_it_was_looked_for_is_not_adopted(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = uncertain()
    sid = placed(twilio, row, "in other characters")
    usual = lost_messages.ask

    def ask(one: Any) -> Any:
        found = usual(one)
        sent(message_id=sid, recipient_phone=row.recipient_phone)
        return found

    monkeypatch.setattr(lost_messages, "ask", ask)
    assert lost_messages.reconcile() == "1 uncertain"
    assert (states(row), stored(row).external_id) == (("pending", "held"), "")


@pytest.mark.parametrize("changed", ["TWILIO_FROM", "TWILIO_ACCOUNT_SID"])
def test_a_text_of_another_number_or_account_of_ours_cannot_be_looked_for(
    changed: str, twilio: TwilioDouble, providers: Any
) -> None:
    row = uncertain(ago_s=OLD, resends=1)
    placed(twilio, row)
    setattr(providers, changed, "+14155550198")
    assert lost_messages.reconcile() == "1 unknown"
    assert (states(row), twilio.requests) == (("pending", "held"), [])
    assert StaffTask.objects.get().kind == "unknown"


def test_one_row_that_cannot_be_looked_into_costs_only_itself_and_goes_last(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, row = uncertain(ago_s=OLD), uncertain()
    placed(twilio, row)
    usual = lost_messages.ask

    def ask(one: Any) -> Any:
        if one.pk == broken.pk:
            raise KeyError(one.recipient_phone)
        return usual(one)

    monkeypatch.setattr(lost_messages, "ask", ask)
    with pytest.raises(HandlerBug, match=r"^KeyError in reminders\.reconcile$"):
        lost_messages.reconcile()
    assert (states(broken), states(row)) == (("pending", "held"), ("sent", "done"))
    assert stored(broken).updated_at > broken.updated_at


def test_an_event_that_cannot_be_applied_keeps_only_its_own_message_waiting(twilio: TwilioDouble) -> None:
    poisoned, row = uncertain("email", ago_s=OLD), uncertain(ago_s=OLD)
    told(poisoned, "bounce", payload=["no object"])
    with pytest.raises(HandlerBug, match=r"^AttributeError in reminders\.reconcile$"):
        lost_messages.reconcile()
    assert (states(poisoned), states(row)) == (("pending", "held"), ("pending", "waiting"))


def test_a_text_twilio_does_not_know_is_sent_again_when_enough_time_has_passed(twilio: TwilioDouble) -> None:
    row = uncertain(ago_s=300)
    assert lost_messages.reconcile() == "1 uncertain"
    assert states(row) == ("pending", "held")
    type(row).objects.filter(pk=row.pk).update(begun_at=timezone.now() - timedelta(seconds=OLD))
    assert lost_messages.reconcile() == "1 back in line"
    after = stored(row)
    assert (after.work_state, after.resends, after.begun_at, after.provider) == ("waiting", 1, None, "")
    (leased,) = type(row).work.lease(5)
    assert leased.attempt_id == f"{row.pk}.2"


def test_close_to_the_visit_what_was_not_sent_is_said_by_mail_instead() -> None:
    row = uncertain(ago_s=OLD, lane=0)
    assert lost_messages.reconcile() == "1 given up"
    assert states(row) == ("failed", "failed")
    assert instead_of(row) == ["email"]


def test_what_is_no_longer_useful_is_not_sent_again_and_nobody_is_called() -> None:
    row = uncertain(ago_s=OLD, useful_until=timezone.now() - HOUR)
    assert lost_messages.reconcile() == "1 given up"
    assert states(row) == ("failed", "failed")
    assert instead_of(row) == []


def test_a_row_that_used_up_its_attempts_is_not_sent_again() -> None:
    row = uncertain(ago_s=OLD, attempts=8)
    assert lost_messages.reconcile() == "1 given up"
    assert instead_of(row) == ["email"]


def test_a_provider_that_is_away_leaves_the_row_for_the_next_minute(twilio: TwilioDouble) -> None:
    row = uncertain(ago_s=OLD * 5)
    twilio.fail_next(503, b"", times=4, method="GET")
    assert lost_messages.reconcile() == "1 uncertain"
    assert states(row) == ("pending", "held")
    twilio._failures.clear()
    assert lost_messages.reconcile() == "1 back in line"


def test_close_to_the_visit_a_provider_that_stays_away_is_not_waited_for(twilio: TwilioDouble) -> None:
    row = uncertain(ago_s=OLD * 2, lane=0)
    twilio.fail_next(503, b"", times=4, method="GET")
    assert lost_messages.reconcile() == "1 given up"
    twilio._failures.clear()
    assert (states(row), stored(row).uncertain_since) == (("pending", "held"), None)
    assert instead_of(row) == ["email"]


def test_of_several_that_it_could_be_none_is_guessed_and_a_person_is_told(twilio: TwilioDouble) -> None:
    row = uncertain(ago_s=OLD)
    placed(twilio, row, "one")
    placed(twilio, row, "two")
    assert lost_messages.reconcile() == "1 unknown"
    assert (states(row), stored(row).uncertain_since) == (("pending", "held"), None)
    assert StaffTask.objects.get().kind == "unknown"
    assert lost_messages.reconcile() == "nothing uncertain"
    told(row, "delivered", message_id=twilio.sent[0].sid)
    provider_events.apply()
    assert states(row) == ("delivered", "done")
    assert StaffTask.objects.get().done_at is not None


def test_the_sandbox_knows_its_own_by_their_attempts(providers: Any, tmp_path: Path) -> None:
    providers.SMS_TRANSPORT, providers.DATA_DIR = "sandbox", tmp_path
    row, other = (uncertain(ago_s=OLD, provider="sandbox") for _ in range(2))
    gateways.sms().send(Sms(row.recipient_phone, BODY, row.attempt_id))
    assert lost_messages.reconcile() == "1 adopted, 1 back in line"
    assert (states(row), states(other)) == (("delivered", "done"), ("pending", "waiting"))


@pytest.mark.parametrize("provider", ["smtp", "sendgrid"])
def test_where_nobody_can_be_asked_it_is_sent_once_more_and_then_a_person_is_told(
    provider: str, providers: Any
) -> None:
    providers.EMAIL_TRANSPORT, providers.SMTP_HOST = provider, "127.0.0.1"
    providers.SMTP_FROM = "clinic@example.org"
    row = uncertain("email", provider=provider)
    assert lost_messages.reconcile() == "1 uncertain"
    type(row).objects.filter(pk=row.pk).update(begun_at=timezone.now() - timedelta(seconds=OLD))
    assert lost_messages.reconcile() == "1 back in line"
    (leased,) = type(row).work.lease(1)
    leased.begin()
    type(row).objects.filter(pk=row.pk).update(provider=provider)
    assert leased.hold("no answer")
    type(row).objects.filter(pk=row.pk).update(begun_at=timezone.now() - timedelta(seconds=OLD))
    assert lost_messages.reconcile() == "1 unknown"
    assert states(row) == ("pending", "held")
    assert StaffTask.objects.get().kind == "unknown"


def test_where_nobody_can_be_asked_close_to_the_visit_another_way_is_taken() -> None:
    row = uncertain("email", ago_s=OLD, lane=0)
    assert lost_messages.reconcile() == "1 given up"
    assert (states(row), stored(row).uncertain_since) == (("pending", "held"), None)
    assert instead_of(row) == ["call"]


def test_a_provider_we_no_longer_use_cannot_be_asked(twilio: TwilioDouble) -> None:
    uncertain(ago_s=OLD, provider="another")
    assert lost_messages.reconcile() == "1 back in line"
    assert twilio.requests == []


def test_a_mail_is_found_by_its_attempt_where_the_account_can_look(sendgrid: SendGridDouble, providers: Any) -> None:
    providers.SENDGRID_ACTIVITY_FEED = True
    row = uncertain("email", ago_s=OLD)
    gateways.email().send(Email(row.recipient_email, "Your appointment", BODY, row.attempt_id))
    assert lost_messages.reconcile() == "1 adopted"
    after = stored(row)
    assert (after.status, after.work_state, after.external_id) == ("delivered", "done", sendgrid.sent[0].message_id)
    other = uncertain("email", ago_s=OLD)
    assert lost_messages.reconcile() == "1 back in line"
    assert states(other) == ("pending", "waiting")


def test_a_mail_that_was_found_and_not_delivered_is_said_in_another_way(
    sendgrid: SendGridDouble, providers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers.SENDGRID_ACTIVITY_FEED = True
    row = uncertain("email", ago_s=OLD)
    monkeypatch.setattr(SendGridEmail, "find", lambda *_: Found("m1", "not_delivered"))
    assert lost_messages.reconcile() == "1 adopted"
    after = stored(row)
    assert (after.status, after.work_state, after.error_code) == ("failed", "done", "sendgrid:not_delivered")
    assert instead_of(row) == ["call"]


def test_r25_an_event_that_waits_to_be_applied_is_heard_before_anything_is_sent_again(twilio: TwilioDouble) -> None:
    row = uncertain(ago_s=OLD)
    told(row, "sent", message_id="SMheard")
    assert lost_messages.reconcile() == "1 adopted"
    assert (states(row), stored(row).external_id) == (("sent", "done"), "SMheard")
    assert twilio.requests == []


def test_a_row_that_broke_before_anybody_was_spoken_to_goes_back_in_line_a_little_later() -> None:
    row = uncertain(provider="")
    assert lost_messages.reconcile() == "1 back in line"
    after = stored(row)
    assert (after.status, after.work_state, after.resends) == ("pending", "waiting", 0)
    assert after.due_at > timezone.now()


def test_a_family_told_in_one_text_goes_back_in_line_together() -> None:
    leader = uncertain(ago_s=OLD)
    child = uncertain(ago_s=OLD, digest_of=leader)
    assert lost_messages.reconcile() == "1 back in line"
    assert (states(leader), states(child)) == (("pending", "waiting"), ("pending", "waiting"))
    assert stored(child).digest_of_id is None


def test_who_was_told_in_a_text_that_is_settled_is_settled_as_well() -> None:
    leader = sent()
    child = uncertain(digest_of=leader)
    assert lost_messages.reconcile() == "1 followed"
    assert states(child) == ("sent", "done")


@pytest.mark.parametrize("of_leader", [{"body_sha256": "0" * 64}, {"status": "suppressed"}])
def test_whose_leader_was_decided_anew_without_it_is_looked_for_by_itself(
    of_leader: dict[str, str], twilio: TwilioDouble
) -> None:
    leader = sent(**of_leader)
    child = uncertain(ago_s=OLD, digest_of=leader)
    assert lost_messages.reconcile() == "nothing uncertain"
    assert (states(child), stored(child).digest_of_id) == (("pending", "held"), None)
    assert lost_messages.reconcile() == "1 back in line"


def test_two_reconcilers_take_each_step_once(twilio: TwilioDouble) -> None:
    row = uncertain(ago_s=OLD)
    stale = lost_messages.uncertain(type(row))[0]
    assert lost_messages.reconcile() == "1 back in line"
    assert lost_messages._back_in_line(stale, timezone.now()) == "left alone"
    assert stored(row).resends == 1
    uncertain_again = {"work_state": "held", "lease_no": 2, "uncertain_since": timezone.now()}
    type(row).objects.filter(pk=row.pk).update(**uncertain_again)
    assert lost_messages._back_in_line(stale, timezone.now()) == "left alone"
    assert stored(row).resends == 1


@pytest.mark.parametrize("dies", ["leased", "begun", "noted", "taken", "reported"])
def test_r24_a_worker_that_dies_at_any_step_neither_loses_a_message_nor_sends_it_twice(
    dies: str, twilio: TwilioDouble
) -> None:
    row = {
        "leased": lambda: begun(begun_at=None, provider="", body_sha256="", recipient_phone=""),
        "begun": lambda: begun(ago_s=OLD, provider="", body_sha256="", recipient_phone=""),
    }.get(dies, lambda: begun(ago_s=OLD))()
    if dies in ("taken", "reported"):
        placed(twilio, row, sent_at=None)
    if dies == "reported":
        told(row, "delivered", message_id=twilio.sent[0].sid)
    run_out(row)
    for _ in range(3):
        sweep.hold_lost()
        lost_messages.reconcile()
        type(row).objects.filter(work_state="waiting").update(due_at=timezone.now() - HOUR)
        reminders.deliver_due()
    after = stored(row)
    assert (after.status, after.work_state) == ("delivered" if dies == "reported" else "sent", "done")
    assert [sms.to for sms in twilio.sent] == [row.patient.phone]
    assert after.external_id == twilio.sent[0].sid
    assert books.reminders(None, None, settle=timedelta(0)).agree
