"""Holds the way out: the other channel once, then a person; nothing where nobody needs to be told any more."""

from __future__ import annotations

import pytest
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.messaging import fallbacks
from backend.apps.messaging.models import PatientMessage, StaffTask
from tests.workers.texts import due_message, due_text, mail_after_text, patient

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def test_the_other_message_says_the_same_now_and_names_the_one_it_replaces() -> None:
    mail_after_text()
    row = due_text(wording="ask_to_confirm", lane=1)
    other = fallbacks.fall_back(row, reason="It failed.")
    assert isinstance(other, AppointmentReminder)
    assert (other.reminder_type, other.fallback_of, other.appointment) == ("email", row, row.appointment)
    assert (other.wording, other.lane, other.useful_until) == (row.wording, row.lane, row.useful_until)
    assert (other.status, other.work_state, other.attempts) == ("pending", "waiting", 0)
    assert other.due_at <= timezone.now()


def test_what_only_a_mail_can_tell_is_told_by_a_person_and_by_no_text() -> None:
    row = due_message(channel="email", wording="cancelled", status="failed", work_state="failed")
    assert isinstance(fallbacks.fall_back(row, reason="It bounced."), StaffTask)
    assert not PatientMessage.objects.exclude(pk=row.pk).exists()


def test_twice_is_one_message_and_one_task() -> None:
    mail_after_text()
    row = due_text()
    assert fallbacks.fall_back(row, reason="It failed.") == fallbacks.fall_back(row, reason="It failed.")
    alone = due_text(patient(email=""))
    assert fallbacks.fall_back(alone, reason="It failed.") == fallbacks.fall_back(alone, reason="It failed.")
    assert StaffTask.objects.count() == 1


@pytest.mark.parametrize(
    ("stood", "told"),
    [
        ({"status": "superseded", "work_state": "done", "attempts": 3}, "email"),
        ({"status": "pending", "work_state": "waiting"}, "email"),
        ({"status": "delivered", "work_state": "done", "sent_at": timezone.now()}, "email"),
        ({"status": "failed", "work_state": "failed"}, "call"),
        ({"status": "suppressed", "work_state": "done"}, "call"),
    ],
    ids=["taken back", "in line", "told", "failed", "not wanted"],
)
def test_where_the_other_message_stands_already_it_lives_again_or_a_person_calls(
    stood: dict[str, object], told: str
) -> None:
    mail_after_text()
    row = due_text()
    names = ("appointment", "appointment_version", "offset_minutes", "visit_starts_at", "scheduled_send_time")
    mail = AppointmentReminder.objects.create(
        **{name: getattr(row, name) for name in names}, reminder_type="email", dedupe_key=f"{row.pk}:twin", **stood
    )
    other = fallbacks.fall_back(row, reason="It failed.")
    assert other == fallbacks.fall_back(row, reason="It failed.")
    assert (other.kind if isinstance(other, StaffTask) else other and other.channel) == told
    mail.refresh_from_db()
    if stood["status"] == "superseded":
        assert (mail.status, mail.work_state, mail.attempts, mail.fallback_of) == ("pending", "waiting", 0, row)
        assert (mail.useful_until, mail.lane) == (row.useful_until, row.lane)
        assert mail.due_at <= timezone.now()
    else:
        assert (mail.status, mail.fallback_of) == (stood["status"], None)


def test_a_replacement_is_never_replaced() -> None:
    row = due_message()
    mail = fallbacks.fall_back(row, reason="It failed.")
    assert isinstance(mail, PatientMessage)
    task = fallbacks.fall_back(mail, reason="It failed too.")
    assert isinstance(task, StaffTask)
    assert (task.kind, task.patient) == ("call", row.patient)
    assert PatientMessage.objects.count() == 2


def test_the_task_names_nobody_and_stands_once_for_a_visit() -> None:
    who = patient(email="")
    first = due_text(who)
    second = due_text(who, dedupe_key="x", offset_minutes=120)
    AppointmentReminder.objects.filter(pk=second.pk).update(appointment=first.appointment)
    for row in (first, AppointmentReminder.objects.get(pk=second.pk)):
        fallbacks.fall_back(row, reason="It failed.")
    task = StaffTask.objects.get()
    assert task.sentence == "Neither a text nor an e-mail reaches this patient; please call. It failed."


@pytest.mark.parametrize("changes", [{"status": "confirmed"}, {"status": "completed"}, {"is_deleted": True}])
def test_nothing_is_said_of_a_visit_nobody_awaits(changes: dict[str, object]) -> None:
    row = due_text(patient(email=""))
    times = {"deleted_at": timezone.now()} if changes.get("is_deleted") else {}
    Appointment.objects.filter(pk=row.appointment_id).update(**changes, **times)
    row = AppointmentReminder.objects.select_related("appointment").get(pk=row.pk)
    told = fallbacks.fall_back(row, reason="It failed.")
    assert (told is not None) == (changes == {"status": "confirmed"})


def test_where_nobody_needs_to_be_called_nobody_is_asked_to() -> None:
    row = due_text(patient(email=""))
    assert fallbacks.fall_back(row, reason="One too many.", call=False) is None
    assert not StaffTask.objects.exists()


def test_a_wrong_number_is_asked_for_once() -> None:
    row = due_text()
    assert fallbacks.ask_to_fix(row) == fallbacks.ask_to_fix(row)
    assert row.appointment.patient.phone not in StaffTask.objects.get().sentence
