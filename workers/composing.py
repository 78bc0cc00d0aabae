"""Makes a text or a mail of a message, with all that must be on disk before it leaves; the only place that does."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from backend.apps.appointments import reminders, zones
from backend.apps.appointments.cancellations import entry_of
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.models import Clinic
from backend.apps.messaging import calendar_files, links, segments
from backend.apps.messaging.calendar_files import Entry
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.links import Wanted
from backend.apps.messaging.models import (
    Channel,
    ContactRules,
    LinkPurpose,
    MessageKind,
    OutgoingMessage,
    PatientMessage,
)
from backend.apps.messaging.rendering import Words
from backend.apps.messaging.wording import Unwritable, Wordings
from backend.apps.patients.models import Patient
from integrations.email import Attachment, Email
from integrations.errors import Permanent
from integrations.sms import Sms, body_sha256
from workers import cancellations, gateways, no_shows, recalls, visits, waitlist

LINK_WORKS = timedelta(days=14)  # of a message that is about no visit
WAY_OUT_WORKS = timedelta(days=400)  # a mail is read, and its button pressed, long after the visit
VISIT = "visit"  # among the kinds: every reminder of a visit
EMPTY = {"recipient_phone": "", "recipient_email": "", "segments": 0}

# What messages of a kind say, by their keys, and why they no longer help. Kinds without a row say the plain facts.
FACTS: Mapping[str, Callable[[Sequence[PatientMessage]], Mapping[Any, Facts]]] = {
    MessageKind.WAITLIST_OFFER: waitlist.facts,
    MessageKind.RECALL: recalls.facts,
    MessageKind.NO_SHOW: visits.facts,
    MessageKind.CANCELLED: visits.facts,
}
LATE: Mapping[str, Callable[[Sequence[PatientMessage]], Mapping[Any, str | None]]] = {
    MessageKind.WAITLIST_OFFER: waitlist.late,
    MessageKind.RECALL: recalls.late,
    MessageKind.NO_SHOW: no_shows.late,
    MessageKind.CANCELLED: cancellations.late,
}


@dataclass(frozen=True)
class House:
    """What all messages of one run have in common, read once."""

    clinic: Clinic
    rules: ContactRules
    wordings: Wordings

    @classmethod
    def load(cls) -> House:
        rules = ContactRules.current()
        return cls(Clinic.current(), rules, Wordings.load(rules))

    def zone_of(self, patient: Patient) -> ZoneInfo:
        """Return the zone of the patient's days."""
        return zones.recipient_zone(patient, self.clinic)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready to leave. note: the row's fields to write down before; links: those its words hold.

    until: when it is of no more use, or may not reach its patient any more.
    """

    content: Sms | Email
    note: Mapping[str, Any]
    links: Sequence[Wanted]
    until: datetime | None

    def handed_over(self) -> Sms | Email:
        """Return what the provider is given at this moment: it drops a text it could not deliver by `until`."""
        if isinstance(self.content, Email) or self.until is None:
            return self.content
        return replace(self.content, valid_for_s=max(int((self.until - timezone.now()).total_seconds()), 1))


def facts_of(messages: Sequence[OutgoingMessage], house: House) -> dict[Any, Facts]:
    """Return by key what each message says; those of one kind are looked at together."""
    found: dict[Any, Facts] = {}
    for kind, rows in by_kind(messages).items():
        found |= FACTS[kind](rows) if kind in FACTS else {row.pk: _plain(row, house) for row in rows}
    return {row.pk: _with_way_out(row, found[row.pk]) for row in messages if row.pk in found}


def entries_of(messages: Sequence[OutgoingMessage]) -> dict[Any, Entry]:
    """Return by key what each mail puts into its reader's calendar or takes out of it, where it does."""
    kinds = by_kind([row for row in messages if row.channel == Channel.EMAIL])
    found = {row.pk: entry_of(row.appointment) for row in kinds.get(VISIT, ())}
    if cancelled := kinds.get(MessageKind.CANCELLED):
        about = visits.visits_of(cancelled)
        found |= {row.pk: entry_of(about[row.subject_id]) for row in cancelled}
    return found


def late(messages: Sequence[OutgoingMessage]) -> dict[Any, str | None]:
    """Return by key why a message no longer helps, as its kind knows it: a sentence without a patient's data."""
    found: dict[Any, str | None] = {}
    for kind, rows in by_kind(messages).items():
        if kind in LATE:
            found |= LATE[kind](rows)
    return found


def by_kind(messages: Sequence[OutgoingMessage]) -> dict[str, list[Any]]:
    """Return the messages by what they are: a kind of `MessageKind`, all reminders of visits under one."""
    kinds: dict[str, list[Any]] = defaultdict(list)
    for row in messages:
        kinds[VISIT if isinstance(row, AppointmentReminder) else row.wording].append(row)
    return kinds


def letter(
    message: OutgoingMessage,
    facts: Facts,
    house: House,
    also: Sequence[AppointmentReminder] = (),
    *,
    until: datetime | None,
    entry: Entry | None = None,
) -> Letter:
    """Return the message in the patient's language.

    also: reminders of other visits that the same text tells of. entry: what a mail puts into the patient's calendar.

    Raises:
        Permanent: nobody could send it: no words, no number, a mailbox that is none.
    """
    kind = _kind(message)
    if also:  # it asks for no answer and has no link, for nobody could tell whose that is
        starts = tuple(row.appointment.appointment_datetime for row in (message, *also) if hasattr(row, "appointment"))
        kind, facts = MessageKind.DIGEST, replace(facts, starts_at=None, link="", visits=starts)
    try:
        words = house.wordings.render(kind, message.channel, message.patient.preferred_language, facts)
    except Unwritable:
        raise Permanent("no words for it", code="message:wording") from None
    files, is_text = _calendar(entry, words, facts), message.channel == Channel.SMS
    content, note = _text(message, words) if is_text else _mail(message, words, house, files)
    said = f"{words.text} {words.html}"
    wanted = [_link(message, purpose) for purpose in LinkPurpose if links.url(message.pk, purpose) in said]
    by = {"provider": gateways.provider(message.channel), "sender": gateways.account(message.channel)}
    return Letter(content, {**EMPTY, **note, **by}, wanted, until)


def _kind(message: OutgoingMessage) -> str:
    if isinstance(message, AppointmentReminder) and reminders.why_not_wording(message):
        return MessageKind.REMINDER
    return message.wording or MessageKind.REMINDER


def _link(message: Any, purpose: str) -> Wanted:
    """Return the link to write down: for a visit, until that is over; the way out works when that is long past."""
    is_reminder, now = isinstance(message, AppointmentReminder), timezone.now()
    subject_id = message.appointment_id if is_reminder else message.subject_id
    if purpose == LinkPurpose.UNSUBSCRIBE:
        return Wanted(message, purpose, subject_id, now + WAY_OUT_WORKS)
    return Wanted(message, purpose, subject_id, message.appointment.end_datetime if is_reminder else now + LINK_WORKS)


def _plain(message: Any, house: House) -> Facts:
    """Return the facts of a reminder, or of an answer with a link."""
    is_reminder = isinstance(message, AppointmentReminder)
    return Facts(
        clinic=house.rules.name_of(house.clinic),
        zone=house.clinic.zone,
        phone=house.clinic.phone,
        starts_at=message.appointment.appointment_datetime if is_reminder else None,
        patient_zone=house.zone_of(message.patient),
        link=links.url(message.pk, LinkPurpose.ANSWER if is_reminder else LinkPurpose.CHOOSE),
    )


def _with_way_out(message: OutgoingMessage, facts: Facts) -> Facts:
    if message.channel != Channel.EMAIL:
        return facts
    return replace(facts, unsubscribe_link=links.url(message.pk, LinkPurpose.UNSUBSCRIBE))


def _text(message: OutgoingMessage, words: Words) -> tuple[Sms, dict[str, Any]]:
    body, phone = words.text, message.patient.phone
    cost = segments.count(body).segments
    noted = {"recipient_phone": phone, "body_sha256": body_sha256(body), "segments": cost}
    return Sms(phone, body, message.attempt_id), noted


def _mail(
    message: OutgoingMessage, words: Words, house: House, files: tuple[Attachment, ...]
) -> tuple[Email, dict[str, Any]]:
    address = message.patient.email
    mail = Email(
        to=address,
        subject=words.subject,
        text=words.text,
        attempt_id=message.attempt_id,
        html=words.html,
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: nobody's absence note answers it
        attachments=files,
        unsubscribe_url=links.url(message.pk, LinkPurpose.UNSUBSCRIBE),
        reply_to=house.rules.mailbox_of(house.clinic),
    )
    return mail, {"recipient_email": address, "body_sha256": hashlib.sha256(words.text.encode()).hexdigest()}


def _calendar(entry: Entry | None, words: Words, facts: Facts) -> tuple[Attachment, ...]:
    if entry is None:
        return ()
    file = calendar_files.file_of(
        entry, zone=facts.zone, clinic=facts.clinic, phone=facts.phone, language=words.language
    )
    return (Attachment("appointment.ics", calendar_files.content_type(entry), file),)
