"""Holds what providers report: late, twice, out of order, before our own commit, and in words nobody knows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.laboratory.tests.factories import make_critical_page
from backend.apps.messaging.models import ProviderEvent, StaffTask
from backend.apps.patients.models import ContactPoint, Patient
from tests.support.races import at_once
from tests.workers.rows import stored
from tests.workers.tries import again, begun, instead_of, sent, states, told, uncertain, waiting
from workers import provider_events
from workers.runner import drain_together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def outcome(event: ProviderEvent) -> tuple[str, str]:
    after = stored(event)
    return after.outcome, after.work_state


@pytest.mark.parametrize(
    ("kind", "word", "status"),
    [
        ("sms", "sent", "sent"),
        ("sms", "delivered", "delivered"),
        ("email", "processed", "sent"),
        ("email", "deferred", "sent"),
        ("email", "delivered", "delivered"),
    ],
)
def test_r25_a_send_whose_answer_was_lost_is_adopted_by_its_callback(kind: str, word: str, status: str) -> None:
    row = uncertain(kind)
    event = told(row, word)
    assert provider_events.apply() == "1 done"
    after = stored(row)
    assert (after.status, after.work_state, after.external_id) == (status, "done", "SM1")
    assert (after.uncertain_since, after.provider_status) == (None, word)
    assert after.sent_at is not None
    assert (after.delivered_at is not None) == (status == "delivered")
    assert outcome(event) == ("applied", "done")


def test_r25_a_row_that_was_back_in_line_is_not_sent_again_when_its_first_try_is_heard_of() -> None:
    row = waiting(lease_no=1, attempts=1, resends=1)
    told(row, "sent")
    provider_events.apply()
    assert states(row) == ("sent", "done")
    assert type(row).work.lease(10) == []
    assert not StaffTask.objects.exists()


def test_r25_a_second_try_that_has_not_begun_is_taken_from_its_worker() -> None:
    row = begun(lease_no=2, begun_at=None, resends=1, provider="")
    told(row, "delivered")
    provider_events.apply()
    assert states(row) == ("delivered", "done")
    assert not row.begin()
    assert not StaffTask.objects.exists()


def test_r25_what_becomes_of_an_adopted_first_try_is_what_became_of_the_message() -> None:
    row = begun(lease_no=2, begun_at=None, resends=1, provider="", useful_until=timezone.now())
    told(row, "sent")
    provider_events.apply()
    told(row, "undelivered", error_code="30003")
    provider_events.apply()
    assert states(row) == ("failed", "done")
    assert instead_of(row) == ["email"]


def test_r26_a_callback_before_our_commit_is_kept_by_the_attempt_and_the_late_worker_changes_nothing() -> None:
    row = begun()
    told(row, "delivered")
    provider_events.apply()
    assert states(row) == ("delivered", "done")
    assert not row.finish(status="sent", external_id="SM1", sent_at=timezone.now())
    assert states(row) == ("delivered", "done")


def test_r26_a_callback_that_names_only_the_providers_id_waits_for_our_commit() -> None:
    row = begun()
    event = told(None, "delivered")
    provider_events.apply()
    after = stored(event)
    assert (after.work_state, after.outcome, after.attempts) == ("waiting", "", 0)
    assert timedelta(seconds=20) < after.due_at - timezone.now() < timedelta(seconds=31)
    assert row.finish(status="sent", external_id="SM1", sent_at=timezone.now())
    again(event)
    provider_events.apply()
    assert states(row) == ("delivered", "done")


def test_what_belongs_to_no_message_of_ours_is_given_up_after_a_quarter_of_an_hour() -> None:
    event = told(None, "delivered", message_id="SM-of-somebody-else")
    ProviderEvent.objects.filter(pk=event.pk).update(created_at=timezone.now() - timedelta(minutes=16))
    provider_events.apply()
    assert outcome(event) == ("unmatched", "done")


def test_a_page_about_a_critical_result_is_the_laboratorys_own() -> None:
    event = told(None, "delivered", attempt_id=f"{make_critical_page().pk}.1")
    provider_events.apply()
    assert outcome(event) == ("ignored", "done")


def test_r27_the_same_word_twice_changes_nothing_the_second_time() -> None:
    row = sent()
    told(row, "delivered")
    provider_events.apply()
    first = stored(row)
    event = told(row, "delivered")
    provider_events.apply()
    after = stored(row)
    assert (after.status, after.delivered_at) == (first.status, first.delivered_at)
    assert outcome(event) == ("unchanged", "done")


@pytest.mark.parametrize("together", [True, False])
def test_r27_words_out_of_order_never_lower_what_is_known(together: bool) -> None:
    row = sent()
    for word in ("delivered", "sent", "sending", "queued"):
        told(row, word)
        if not together:
            provider_events.apply()
    provider_events.apply()
    after = stored(row)
    assert (after.status, after.provider_status) == ("delivered", "delivered")


def test_r27_a_word_nobody_knows_is_kept_and_told_and_changes_nothing() -> None:
    row = sent()
    event = told(row, "teleported")
    assert provider_events.apply() == "1 done"
    assert states(row) == ("sent", "done")
    assert outcome(event) == ("ignored", "done")
    assert stored(event).provider_status == "teleported"
    assert Alert.objects.get().cause == "provider word:twilio:teleported"


def test_a_late_bounce_is_believed_after_a_delivery_and_a_late_failure_is_not() -> None:
    believed, other = sent("email"), sent("email", "SM2")
    for row in (believed, other):
        told(row, "delivered", message_id=row.external_id)
    provider_events.apply()
    told(believed, "bounce", payload={"type": "bounce"})
    told(other, "dropped", message_id="SM2", payload={"reason": "Invalid"})
    provider_events.apply()
    assert (states(believed), states(other)) == (("bounced", "done"), ("delivered", "done"))


@pytest.mark.parametrize(
    ("kind", "word", "code", "payload", "status"),
    [
        ("sms", "undelivered", "30005", {}, "bounced"),
        ("sms", "undelivered", "30006", {}, "bounced"),
        ("email", "bounce", "", {"type": "bounce", "status": "5.1.1"}, "bounced"),
        ("email", "dropped", "", {"reason": "Bounced Address"}, "failed"),
    ],
)
def test_an_address_that_cannot_take_it_is_marked_and_the_other_channel_is_used_once(
    kind: str, word: str, code: str, payload: dict[str, str], status: str
) -> None:
    row = sent(kind)
    for _ in range(2):
        told(row, word, error_code=code, payload=payload)
        provider_events.apply()
    assert states(row) == (status, "done")
    point = ContactPoint.objects.get()
    assert point.unusable_at is not None
    assert point.address == (row.recipient_phone or row.recipient_email)
    assert instead_of(row) == [{"sms": "email", "email": "call"}[kind]]  # the table has no text beside that mail
    assert StaffTask.objects.filter(kind="fix_contact").count() == 1


def test_who_opted_out_with_the_provider_is_opted_out_with_us_and_gets_a_mail() -> None:
    row = sent()
    told(row, "failed", error_code="21610")
    provider_events.apply()
    assert ContactPoint.objects.get().opted_out_at is not None
    assert not Patient.objects.get(pk=row.patient.pk).sms_consent
    assert instead_of(row) == ["email"]


def test_what_is_filtered_is_not_repeated_but_said_by_mail_and_told_to_the_administrator() -> None:
    row = sent()
    told(row, "undelivered", error_code="30007")
    provider_events.apply()
    assert states(row) == ("bounced", "done")
    assert instead_of(row) == ["email"]
    assert Alert.objects.get().cause == "messages blocked:twilio:30007"


@pytest.mark.parametrize(("kind", "word", "code"), [("sms", "undelivered", "30003"), ("email", "bounce", "")])
def test_what_may_pass_is_sent_once_more_and_the_second_time_the_other_channel_is_used(
    kind: str, word: str, code: str
) -> None:
    row = sent(kind)
    payload = {"type": "blocked"}
    told(row, word, error_code=code, payload=payload)
    told(row, "sent" if kind == "sms" else "processed")  # late, and about the try that is known to have failed
    provider_events.apply()
    after = stored(row)
    assert (after.status, after.work_state, after.resends, after.provider) == ("pending", "waiting", 1, "")
    assert timedelta(minutes=9) < after.due_at - timezone.now() < timedelta(minutes=11)
    resent = {"work_state": "done", "status": "sent", "lease_no": 2, "external_id": "SM2", "begun_at": timezone.now()}
    type(row).objects.filter(pk=row.pk).update(**resent, sent_at=timezone.now())
    told(row, word, error_code=code, payload=payload, attempt_id=f"{row.pk}.2", message_id="SM2")
    told(row, "sent" if kind == "sms" else "processed")
    provider_events.apply()
    assert states(row) == ("bounced" if kind == "email" else "failed", "done")
    assert instead_of(row) == [{"sms": "email", "email": "call"}[kind]]
    assert not StaffTask.objects.filter(kind="unknown").exists()


def test_what_would_come_too_late_is_not_sent_again_but_said_in_another_way() -> None:
    row = sent(useful_until=timezone.now() + timedelta(minutes=5))
    told(row, "undelivered", error_code="30008")
    provider_events.apply()
    assert states(row) == ("failed", "done")
    assert instead_of(row) == ["email"]


@pytest.mark.parametrize(("useful_h", "instead"), [(-1, []), (5, ["email"])])
def test_what_expired_at_the_provider_is_not_sent_again_and_said_by_mail_only_while_that_helps(
    useful_h: int, instead: list[str]
) -> None:
    row = sent(useful_until=timezone.now() + timedelta(hours=useful_h))
    told(row, "undelivered", error_code="30036")
    provider_events.apply()
    assert states(row) == ("failed", "done")
    assert instead_of(row) == instead


def test_a_first_try_heard_of_after_the_second_went_out_is_told_to_a_person_once() -> None:
    row = sent(message_id="SM2", lease_no=2, resends=1)
    for word in ("sent", "delivered"):
        told(row, word)
        provider_events.apply()
    after = stored(row)
    assert (after.status, after.external_id) == ("delivered", "SM2")
    task = StaffTask.objects.get()
    assert (task.kind, task.cause, task.subject_id) == ("unknown", f"double:{row.pk}", row.appointment_id)
    StaffTask.objects.update(done_at=timezone.now())
    told(row, "delivered")
    provider_events.apply()
    assert StaffTask.objects.count() == 1


def test_a_first_try_that_failed_says_nothing_of_the_second() -> None:
    row = sent(message_id="SM2", lease_no=2, resends=1)
    event = told(row, "undelivered", error_code="30003")
    provider_events.apply()
    assert states(row) == ("sent", "done")
    assert outcome(event) == ("unchanged", "done")
    assert instead_of(row) == []


@pytest.mark.parametrize("word", ["spamreport", "unsubscribe", "group_unsubscribe"])
def test_a_reader_who_wants_no_more_mail_gets_none_and_the_mail_stays_delivered(word: str) -> None:
    row = sent("email", status="delivered")
    event = told(row, word, payload={"email": row.recipient_email.upper()})
    provider_events.apply()
    assert states(row) == ("delivered", "done")
    assert not Patient.objects.get(pk=row.patient.pk).email_consent
    assert outcome(event) == ("ignored", "done")


def test_a_family_told_in_one_text_shares_what_became_of_it() -> None:
    leader = sent()
    child = sent(message_id="", digest_of=leader)
    told(leader, "delivered")
    provider_events.apply()
    assert (states(leader), states(child)) == (("delivered", "done"), ("delivered", "done"))
    told(leader, "failed")
    provider_events.apply()
    assert (states(leader), states(child)) == (("delivered", "done"), ("delivered", "done"))


def test_a_family_that_was_not_reached_is_told_each_in_another_way() -> None:
    leader = sent()
    child = sent(message_id="", digest_of=leader)
    told(leader, "undelivered", error_code="30005")
    provider_events.apply()
    assert (states(leader), states(child)) == (("bounced", "done"), ("bounced", "done"))
    assert instead_of(leader) == instead_of(child) == ["email"]


def test_a_family_goes_back_in_line_each_for_itself() -> None:
    leader = sent()
    child = sent(message_id="", digest_of=leader)
    told(leader, "undelivered", error_code="30003")
    provider_events.apply()
    assert (states(leader), states(child)) == (("pending", "waiting"), ("pending", "waiting"))
    assert stored(child).digest_of_id is None


def test_one_event_that_cannot_be_applied_costs_only_itself() -> None:
    rows = [sent(message_id=f"SM{place}") for place in range(4)]
    for row in rows:
        told(row, "delivered", message_id=row.external_id)
    poison = told(rows[0], "bounce", provider="sendgrid", payload=["no object"], message_id="x")
    with pytest.raises(Exception, match="AttributeError in provider_events"):
        provider_events.apply()
    assert {states(row) for row in rows} == {("delivered", "done")}
    assert stored(poison).work_state == "waiting"


@pytest.mark.django_db(transaction=True)
def test_workers_that_apply_reports_at_once_do_not_wait_for_each_other_and_lose_none() -> None:
    rows = [sent(message_id=f"SM{place}") for place in range(30)]
    for word in ("sent", "delivered", "sent"):
        for row in rows:
            told(row, word, message_id=row.external_id)
    with transaction.atomic():
        held = type(rows[0]).objects.select_for_update().get(pk=rows[0].pk)
        assert at_once(*[drained] * 3) == ["done"] * 3  # while somebody else has one of the messages
        waiting = ProviderEvent.objects.filter(work_state="waiting")
        assert set(waiting.values_list("message_id", flat=True)) >= {held.external_id}
    waiting.update(due_at=timezone.now() - timedelta(seconds=1))
    drained()
    assert {states(row) for row in rows} == {("delivered", "done")}
    assert set(ProviderEvent.objects.values_list("work_state", "attempts")) == {("done", 1)}


def drained() -> None:
    while drain_together(ProviderEvent, provider_events.apply_all, batch=7) != "nothing due":
        pass
