"""Does what patients ask for by text; without it a "1" would confirm nothing, or the wrong person's visit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from backend.apps.appointments import answerable, services
from backend.apps.appointments.answerable import ARRIVED
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.messaging import inbound, tasks
from backend.apps.messaging.models import (
    Channel,
    EventOutcome,
    InboundText,
    MessageKind,
    PatientMessage,
    ProviderEvent,
    TaskKind,
)
from backend.apps.messaging.models.replies import ReplyIntent, ReplyOutcome

WANTS_CHANGE = "The patient asks by text for another time."
ASK_WHO = "A text answers one of several visits that were reminded of at the same number; ask which one it is about."


@transaction.atomic
def handle(event: ProviderEvent) -> Mapping[str, Any]:
    """Read one text and do what it asks for; return the fields to save with the event.

    Safe to run twice: the text is one row by its id, and all it does is the transaction that writes this row.
    """
    text = inbound.take(event)
    if text is None:
        return {"outcome": EventOutcome.UNCHANGED}
    if text.intent in inbound.CONSENTING:
        inbound.heed(text)
    elif text.intent in (ReplyIntent.CONFIRM, ReplyIntent.RESCHEDULE):
        _answer(text)
    return {"outcome": EventOutcome.APPLIED}


def _answer(text: InboundText) -> None:
    """Find the one visit this can be about and do it; where there are several, nothing is guessed."""
    hold(reminder.appointment_id for reminder in outstanding(text))
    asked = outstanding(text)  # again: nobody answers for a time that the desk gave the visit meanwhile
    if not asked:
        return  # in the inbox: no visit of this number is reminded of and still ahead
    if len({reminder.appointment_id for reminder in asked}) > 1:
        first = min(str(reminder.appointment_id) for reminder in asked)
        tasks.open_once(TaskKind.ASK_WHO, f"ask_who:{first}", ASK_WHO, patient=None, subject_id=text.pk)
        inbound.settle(text, ReplyOutcome.AMBIGUOUS)
        inbound.ask_to_choose(text, asked[0].appointment)
    elif text.intent == ReplyIntent.CONFIRM and _was_told_more_since(text, asked[0]):
        inbound.ask_to_choose(text, asked[0].appointment)
    else:
        outcome = (_confirm if text.intent == ReplyIntent.CONFIRM else _reschedule)(text, asked[0].appointment)
        inbound.settle(text, outcome, patient=asked[0].appointment.patient, answers_id=asked[0].pk)


def hold(visits: Iterable[Any]) -> None:
    """Lock these visits until the transaction ends; whoever moves one of them was first, or waits."""
    rows = Appointment.objects.filter(pk__in=set(visits)).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk"))


def outstanding(text: InboundText) -> list[AppointmentReminder]:
    """Return the reminders this text may answer, the newest first."""
    if settings.TWILIO_FROM.startswith("+") and text.to_number != settings.TWILIO_FROM:
        return []  # written to another number of ours
    return answerable.reminded_at([text.from_number]).get(text.from_number, [])


def _was_told_more_since(text: InboundText, reminder: AppointmentReminder) -> bool:
    """Whether "yes" may answer a later text of ours: an offered time, a recall, a visit that is not ahead any more."""
    since = reminder.sent_at or reminder.created_at
    later = Q(status__in=ARRIVED, sent_at__gt=since, sent_at__lte=text.received_at)
    messages = PatientMessage.objects.filter(later, PatientMessage.sent_to(text.from_number), channel=Channel.SMS)
    others = messages.exclude(wording=MessageKind.CHOOSE)
    to_number = AppointmentReminder.sent_to(text.from_number)
    of_visits = AppointmentReminder.objects.filter(later, to_number, reminder_type=Channel.SMS)
    return others.exists() or of_visits.exclude(appointment=reminder.appointment_id).exists()


def _confirm(text: InboundText, visit: Appointment) -> ReplyOutcome:
    if visit.status == Appointment.Status.CONFIRMED:
        return ReplyOutcome.CONFIRMED
    try:
        with transaction.atomic():
            services.confirm(visit, by=None)
    except DomainError:  # it changed in this very moment
        return ReplyOutcome.INBOX
    _note("confirm", text, visit)
    return ReplyOutcome.CONFIRMED


def _reschedule(text: InboundText, visit: Appointment) -> ReplyOutcome:
    """Give the front desk the wish for another time, once per visit as long as it is open."""
    cause = f"reschedule:{visit.pk}"
    tasks.open_once(TaskKind.RESCHEDULE, cause, WANTS_CHANGE, patient=visit.patient, subject_id=visit.pk)
    _note("reschedule", text, visit)
    return ReplyOutcome.TASK


def _note(verb: str, text: InboundText, visit: Appointment) -> None:
    detail = {"reply": str(text.pk)}
    audit.record(None, f"reply.{verb}", "appointment", str(visit.pk), patient_id=visit.patient_id, detail=detail)
