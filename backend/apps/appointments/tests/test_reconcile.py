"""Holds the books of what patients are sent: each planned message in one outcome, and whatever is wrong is named."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from backend.apps.appointments import reconcile
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core.bases import uuid7
from backend.apps.core.ledger import Books
from backend.apps.core.sealed import written
from backend.apps.messaging.models import PatientMessage, ProviderEvent
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db
MINUTES, HOUR = timedelta(minutes=5), timedelta(hours=1)
SENT = {"status": "sent", "work_state": "done", "external_id": "SM1", "recipient_phone": "+14155550123"}


def row(**changes: Any) -> AppointmentReminder:
    """Save a reminder as it is, whatever that says."""
    made = make_reminder()
    if changes.get("status") in ("sent", "delivered"):
        changes.setdefault("sent_at", timezone.now())
    plain = {name: value for name, value in changes.items() if name == "recipient_phone"}
    AppointmentReminder.objects.filter(pk=made.pk).update(**changes | written(AppointmentReminder, made.pk, **plain))
    made.refresh_from_db()
    return made


def books(settle: timedelta = MINUTES) -> Books:
    return reconcile.reminders(None, None, settle=settle)


def faults() -> list[str]:
    return [fault.check for fault in books().faults]


def test_every_planned_message_is_in_one_outcome_by_kind_and_channel() -> None:
    row(**SENT)
    row(**{**SENT, "status": "delivered", "external_id": "SM2", "delivered_at": timezone.now()})
    row(status="superseded", work_state="done")
    row(status="suppressed", work_state="done", status_reason="Muted.")
    row(status="failed", work_state="failed", last_error="no such number")
    row(status="bounced", work_state="done", status_reason="bad_address: twilio:30005")
    row(work_state="held")
    row()
    row(work_state="running", begun_at=timezone.now())
    row(reminder_type="email")
    fields = {"patient": make_patient(), "channel": "sms", "scheduled_send_time": timezone.now() + HOUR}
    PatientMessage.objects.create(**fields, dedupe_key="one", due_at=timezone.now() + HOUR)
    found = books()
    assert found.agree
    texts = {"sent": 2, "superseded": 1, "suppressed": 1, "failed": 2, "held": 1}
    nothing = dict.fromkeys(texts, 0)
    assert [(one.name, one.taken_in, one.outcomes, one.in_line) for one in found.accounts] == [
        ("other messages by text", 1, nothing, 1),
        ("reminders by e-mail", 1, nothing, 1),
        ("reminders by text", 9, texts, 2),
        ("reminders written", 10, {"on file": 10}, 0),
        ("other messages written", 1, {"on file": 1}, 0),
    ]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"work_state": "done"}, "contradiction"),
        ({**SENT, "work_state": "waiting"}, "contradiction"),
        ({"status": "superseded", "work_state": "held"}, "contradiction"),
        ({**SENT, "external_id": ""}, "no name"),
        ({**SENT, "recipient_phone": ""}, "recipient"),
        ({**SENT, "uncertain_since": timezone.now()}, "left behind"),
        ({**SENT, "status": "delivered"}, "delivered"),
        ({**SENT, "delivered_at": timezone.now()}, "delivered"),
        ({**SENT, "status": "failed"}, "no reason"),
        ({"status": "suppressed", "work_state": "done"}, "no reason"),
        ({"status": "superseded", "work_state": "done", "sent_at": timezone.now()}, "never sent"),
        ({"due_at": timezone.now() - HOUR}, "in line"),
        ({"work_state": "held", "begun_at": timezone.now() - HOUR, "uncertain_since": timezone.now()}, "in line"),
    ],
)
def test_what_is_wrong_with_one_row_is_named_with_its_id(changes: dict[str, Any], check: str) -> None:
    row(**SENT | {"external_id": "SM-of-another"})
    wrong = row(**changes)
    found = books()
    assert not found.agree
    assert [(fault.check, fault.examples) for fault in found.faults] == [(f"reminders: {check}", (str(wrong.pk),))]
    assert sum(one.unexplained for one in found.accounts) == (check == "contradiction")


def report(message: AppointmentReminder, **over: Any) -> ProviderEvent:
    """Save what a provider reported on the last try of a message, as it is left when that was applied."""
    fields = {"provider": "twilio", "kind": "status", "attempt_id": message.attempt_id, "message_id": "SM1"}
    done = {"provider_status": "delivered", "outcome": "applied", "work_state": "done", "dedupe_key": str(uuid7())}
    return ProviderEvent.objects.create(**{**fields, **done, **over})


def test_each_report_of_a_provider_is_in_one_outcome() -> None:
    message = row(**{**SENT, "status": "delivered", "delivered_at": timezone.now()})
    report(message)
    report(message, outcome="unchanged")
    report(message, outcome="unmatched")
    report(message, outcome="", work_state="waiting")
    found = books()
    assert found.agree
    (counted,) = (one for one in found.accounts if one.name == "reports of twilio")
    ends = {"applied": 1, "unchanged": 1, "unmatched": 1, "ignored": 0, "failed": 0, "held": 0}
    assert (counted.taken_in, counted.outcomes, counted.in_line) == (4, ends, 1)
    ProviderEvent.objects.update(outcome="", work_state="done")
    ProviderEvent.objects.filter(pk=report(message, outcome="", work_state="waiting").pk).update(
        created_at=timezone.now() - HOUR
    )
    assert faults() == ["reports: contradiction", "reports: in line"]


def test_a_message_that_its_provider_tells_otherwise_of_is_named_with_its_id() -> None:
    message = row(**{**SENT, "status": "delivered", "delivered_at": timezone.now()})
    report(message)
    report(row(**SENT | {"external_id": "SM9"}), message_id="SM9", provider_status="sent")
    assert books().agree
    AppointmentReminder.objects.filter(pk=message.pk).update(external_id="SM2")
    (fault,) = books().faults
    assert (fault.check, fault.examples) == ("reminders: another name", (str(message.pk),))
    AppointmentReminder.objects.filter(pk=message.pk).update(external_id="SM1", status="sent", delivered_at=None)
    assert faults() == ["reminders: told otherwise"]


def test_a_message_that_was_deleted_behind_our_back_is_missed() -> None:
    gone, report_gone = row(), report(row(**SENT | {"delivered_at": timezone.now(), "status": "delivered"}))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM appointments_appointmentreminder WHERE id = %s", [gone.pk])
        cursor.execute("DELETE FROM messaging_providerevent WHERE id = %s", [report_gone.pk])
    found = books()
    assert [fault.check for fault in found.faults] == ["reminders: gone", "provider reports: gone"]
    assert {one.name: one.unexplained for one in found.accounts if one.unexplained} == {
        "reminders written": 1,
        "provider reports written": 1,
    }


def test_two_messages_that_claim_one_text_are_named_and_a_family_in_one_text_is_not() -> None:
    leader = row(**SENT)
    row(**SENT | {"external_id": "", "digest_of": leader})
    row(**SENT | {"digest_of": leader})
    assert books().agree
    row(**SENT)
    assert faults() == ["reminders: one text, two messages"]


def test_a_reminder_and_another_message_that_claim_one_text_are_both_named() -> None:
    row(**SENT)
    at = timezone.now()
    fields = {
        "patient": make_patient(),
        "channel": "sms",
        "scheduled_send_time": at,
        "sent_at": at,
        "dedupe_key": "one",
    }
    PatientMessage.objects.create(**fields, **SENT)
    assert faults() == ["reminders: one text, two messages", "other messages: one text, two messages"]


def test_a_message_told_in_a_text_that_was_not_sent_is_named() -> None:
    row(**SENT | {"external_id": "", "digest_of": row(status="failed", work_state="failed", last_error="refused")})
    assert faults() == ["reminders: nobody told it"]


def test_a_range_holds_what_was_to_be_sent_in_it() -> None:
    wrong = row(work_state="done")
    at = wrong.scheduled_send_time
    assert not reconcile.reminders(at, at + HOUR, settle=MINUTES).agree
    assert reconcile.reminders(at - HOUR, at, settle=MINUTES).agree
    assert reconcile.reminders(at + HOUR, None, settle=MINUTES).agree


def test_the_command_prints_the_books_and_ends_with_1_when_they_do_not_agree() -> None:
    row(**SENT)
    out = StringIO()
    call_command("reconcile", "--part", "reminders", stdout=out)
    assert "reminders by text" in out.getvalue()
    assert "Everything agrees, to the row." in out.getvalue()
    row(work_state="done")
    out = StringIO()
    with pytest.raises(CommandError, match="do not agree"):
        call_command("reconcile", "--json", stdout=out)
    books = {one["part"]: one for one in json.loads(out.getvalue())}
    messages = books.pop("messages to patients")
    assert (messages["agree"], [one["agree"] for one in books.values()]) == (False, [True] * len(books))
    assert messages["accounts"][0]["unexplained"] == 1
