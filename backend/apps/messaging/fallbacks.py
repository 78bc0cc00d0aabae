"""Tries the other channel once, then asks a person to call; without it a wrong number would be a silent no-show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.module_loading import import_string

from backend.apps.core import dispatch
from backend.apps.core.work import WorkState
from backend.apps.messaging import tasks
from backend.apps.messaging.models import EMAIL_ONLY, Channel, MessageStatus, OutgoingMessage, StaffTask, TaskKind
from backend.apps.patients import contacts

OTHER = {Channel.SMS: Channel.EMAIL, Channel.EMAIL: Channel.SMS}
TELLS = (MessageStatus.PENDING, MessageStatus.SENT, MessageStatus.DELIVERED)
AT_FIRST = {
    "status": MessageStatus.PENDING, "status_reason": "", "work_state": WorkState.WAITING, "leased_until": None,
    "begun_at": None, "attempts": 0, "last_error": "",
}  # fmt: skip
SAYS = ("scheduled_send_time", "due_at", "useful_until", "lane", "wording", "fallback_of_id")


@transaction.atomic
def fall_back(message: OutgoingMessage, *, reason: str, call: bool = True) -> OutgoingMessage | StaffTask | None:
    """Say it on another channel instead, once; what cannot be said there either becomes a task. Safe to repeat.

    reason: a sentence without a patient's data. call: False where nobody needs to be called when no channel is left, as
    after one text too many a day.
    """
    if message.is_moot:
        return None
    is_second = getattr(message, "fallback_of_id", None) is not None
    channel = None if is_second else _replacement(message)
    other = _instead(message, channel) if channel is not None else None
    if other is not None:
        return other
    return _ask_to_call(message, reason) if call else None


def other_channel(message: OutgoingMessage) -> str | None:
    """Return the other of text and e-mail if the patient may be reached there."""
    channel = OTHER.get(message.channel) if message.wording not in EMAIL_ONLY else None
    if channel is None or contacts.why_unreachable(message.patient, channel, contacts.points_of([message.patient])):
        return None
    return channel


def ask_to_fix(message: OutgoingMessage) -> StaffTask:
    """Ask for a right number or mailbox, once per patient and channel until that is done."""
    what = "phone number cannot take text messages" if message.channel == Channel.SMS else "e-mail address is wrong"
    cause = f"fix contact:{message.channel}:{message.patient.pk}"
    return tasks.open_once(TaskKind.FIX_CONTACT, cause, f"This patient's {what}.", patient=message.patient)


def _replacement(message: OutgoingMessage) -> str | None:
    find: Callable[[Any], str | None] = import_string(message.replacement)
    return find(message)


def _instead(message: OutgoingMessage, channel: str) -> OutgoingMessage | None:
    """Write the other message, or return the one that tells the same on that channel; None when that one failed."""
    model, copy = type(message), message.copy_for(channel)
    model.objects.bulk_create([copy], ignore_conflicts=True)
    dispatch.ring(model.task_name)
    found: OutgoingMessage | None = model.all_objects.filter(fallback_of=message).first()
    return found or _revived(message.twin(channel), copy)


def _revived(twin: OutgoingMessage | None, copy: OutgoingMessage) -> OutgoingMessage | None:
    """Return the message in whose place no other can be: given life again if it was taken back, as planning does."""
    if twin is None or twin.status not in (*TELLS, MessageStatus.SUPERSEDED):
        return None
    if twin.status == MessageStatus.SUPERSEDED:
        values = {**AT_FIRST, **{name: getattr(copy, name) for name in SAYS}}
        for name, value in values.items():
            setattr(twin, name, value)
        twin.save(update_fields=[*values, "updated_at"])
    return twin


def _ask_to_call(message: OutgoingMessage, reason: str) -> StaffTask:
    sentence = f"Neither a text nor an e-mail reaches this patient; please call. {reason}"
    about = {"patient": message.patient, "subject_id": subject_of(message) or message.pk}
    return tasks.open_once(TaskKind.CALL, cause_of_call(message), sentence[:300], **about)


def cause_of_call(message: OutgoingMessage) -> str:
    """Return the cause of the task to call about what the message is about."""
    return f"call:{subject_of(message) or message.pk}"


def subject_of(message: OutgoingMessage) -> Any:
    """Return the key of the visit, recall or offer it is about; None where it is about no such thing."""
    return getattr(message, "subject_id", None) or getattr(message, "appointment_id", None)
