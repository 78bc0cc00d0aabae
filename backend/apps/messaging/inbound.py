"""Takes in what patients text: once, in order, by rule; without it a STOP could be lost or an answer told twice."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core import closed_values
from backend.apps.core.exceptions import Conflict
from backend.apps.core.keyring import CannotOpen
from backend.apps.messaging import replies, tasks
from backend.apps.messaging.models import Channel, InboundText, MessageKind, PatientMessage, ProviderEvent, TaskKind
from backend.apps.messaging.models.replies import ReplyIntent, ReplyOutcome
from backend.apps.patients import consents, contacts
from backend.apps.patients.models import Patient

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164: a short code or another service is never answered
CONSENTING = (ReplyIntent.OPT_OUT, ReplyIntent.OPT_IN)
LANE = 2
AFTER_TEXT = "A text was read, and there is more to do: see the note."
ANSWER_EVERY = timedelta(hours=1)
USEFUL = timedelta(minutes=30)  # an answer that comes later puzzles more than it helps
MOST_AN_HOUR = 5  # more texts than these within an hour look like a machine that answers ours


def take(event: ProviderEvent) -> InboundText | None:
    """Write down the text an event brought; None when it is there already.

    Within a transaction of the caller, in which the texts of one number are taken one after the other.
    """
    said = {name: str(event.payload.get(name, "")) for name in ("From", "To", "Body", "OptOutType")}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"reply {said['From']}"])
    text, is_new = InboundText.objects.get_or_create(
        sid=event.message_id,
        defaults={
            "from_number": said["From"][:32],
            "to_number": said["To"][:64],
            "body": said["Body"],
            "intent": replies.intent(said["Body"], said["OptOutType"]).value,
            "patient": only_patient(said["From"]),
            "received_at": event.created_at,
        },
    )
    return text if is_new else None


def pictures(texts: Collection[InboundText]) -> dict[str, int]:
    """Return by `sid` how many pictures or files came with a text; none of them is kept."""
    events = ProviderEvent.objects.filter(message_id__in=[text.sid for text in texts], kind="inbound")
    counts = dict[str, int]()
    for event in events.only("message_id", "payload"):
        try:
            counts[event.message_id] = int(event.payload.get("NumMedia") or 0)
        except CannotOpen as closed:
            closed_values.tell(closed)
    return {sid: count for sid, count in counts.items() if count}


def only_patient(number: str) -> Patient | None:
    """Return whose number this is when it is one patient's only."""
    found = list(Patient.objects.filter(contacts.living_at(Channel.SMS, number))[:2]) if number else []
    return found[0] if len(found) == 1 else None


def heed(text: InboundText) -> None:
    """Do what a STOP or START says, unless a later one of this number was read first."""
    if is_overtaken(text):
        settle(text, ReplyOutcome.NOTHING)
    elif text.intent == ReplyIntent.OPT_OUT:
        consents.stop(text.from_number, evidence=text.sid)
        settle(text, ReplyOutcome.OPTED_OUT)
    else:
        back = consents.start(text.from_number, evidence=text.sid)
        settle(text, ReplyOutcome.OPTED_IN if back else ReplyOutcome.NOTHING)


def is_overtaken(text: InboundText) -> bool:
    """Whether a later STOP or START of the same number was read first."""
    later = InboundText.objects.filter(InboundText.sent_from(text.from_number), received_at__gt=text.received_at)
    return bool(later.filter(intent__in=CONSENTING).exists())


def settle(text: InboundText, outcome: ReplyOutcome, *, patient: Patient | None = None, answers_id: Any = None) -> None:
    """Note what came of a text, and what it answers where there is no doubt."""
    text.outcome, text.answers_id, text.patient = outcome, answers_id, patient or text.patient
    text.save(update_fields=["outcome", "answers_id", "patient", "updated_at"])


def ask_to_choose(text: InboundText, visit: Any) -> PatientMessage | None:
    """Answer that a text was not clear, with the link of one `visit` it may be about; None where that could do harm.

    The words say nothing of a visit or a person. One an hour to a number, none to a number that opted out, that cannot
    be a patient's or that sends more than a person does: two machines could thank each other for ever.
    """
    if not NUMBER.fullmatch(text.from_number) or _was_answered(text) or _sounds_like_a_machine(text):
        return None
    patient: Patient = visit.patient
    if contacts.why_unreachable(patient, Channel.SMS, contacts.points_of([patient])):
        return None
    now = timezone.now()
    return PatientMessage.work.enqueue(
        dedupe_key=f"choose:{text.pk}",
        patient=patient,
        subject_id=visit.pk,
        channel=Channel.SMS,
        wording=MessageKind.CHOOSE,
        recipient_phone=text.from_number,
        scheduled_send_time=now,
        useful_until=now + USEFUL,
        lane=LANE,
    )


@transaction.atomic
def handle(text: InboundText, *, by: Any, note: str = "") -> InboundText:
    """Note that somebody has read this text and done what it asks for; a note says what is left, as a task."""
    if not _mark_handled(text, by):
        raise Conflict("Somebody has handled this text already.")
    if note := note.strip():
        cause = f"reply:{text.pk}"
        tasks.open_once(TaskKind.CALL, cause, AFTER_TEXT, patient=text.patient, subject_id=text.pk, note=note)
    text.refresh_from_db()
    return text


@transaction.atomic
def opt_out(text: InboundText, *, by: Any) -> InboundText:
    """Text this number no more: a person has read that its owner wants that, in words no machine understood.

    A text that was handled counts too: of a number that is no patient's it is all the desk has.
    """
    _mark_handled(text, by)
    text.refresh_from_db(from_queryset=InboundText.objects.select_for_update(of=("self",)))
    if text.outcome == ReplyOutcome.OPTED_OUT:
        raise Conflict("This number gets no more texts already.")
    consents.stop(text.from_number, evidence=text.sid)
    settle(text, ReplyOutcome.OPTED_OUT)
    return text


def _mark_handled(text: InboundText, by: Any) -> bool:
    """Note who read a text; False if somebody has before."""
    now = timezone.now()
    waiting = InboundText.objects.filter(pk=text.pk, handled_at__isnull=True)
    return bool(waiting.update(handled_at=now, handled_by=by, updated_at=now))


def _was_answered(text: InboundText) -> bool:
    since = timezone.now() - ANSWER_EVERY
    sent = PatientMessage.objects.filter(PatientMessage.sent_to(text.from_number), wording=MessageKind.CHOOSE)
    return sent.filter(created_at__gt=since).exists()


def _sounds_like_a_machine(text: InboundText) -> bool:
    since = text.received_at - ANSWER_EVERY
    lately = InboundText.objects.filter(InboundText.sent_from(text.from_number), received_at__gt=since)
    return lately.count() > MOST_AN_HOUR
