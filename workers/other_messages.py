"""Handles laboratory messages that are not results: demographics by policy, answers to our orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.core.sealed import opened
from backend.apps.laboratory import answering, identity
from backend.apps.laboratory.identity import Known
from backend.apps.laboratory.matching import Unmatched
from backend.apps.laboratory.models import AdtPolicy, InboundMessage
from backend.apps.patients import demographics, services
from backend.apps.patients.merging import survivor
from backend.apps.patients.models import Patient
from integrations.hl7 import adt, answers
from integrations.hl7.adt import Change, Event
from integrations.hl7.findings import Finding
from integrations.hl7.reader import Message, NotHl7
from workers import kinds
from workers.records import answers as answer_records
from workers.records import demographics as demographic_records
from workers.records.findings import kept

Status = InboundMessage.Status
Outcome = dict[str, Any]


def handle(message: InboundMessage) -> Outcome:
    """Return the outcome fields of a stored message that is no result.

    Safe to run twice: answers and demographics end the same in any order and repetition, and what was merged is merged.
    """
    kind = message.message_type.partition("^")[0]
    if kind != "ADT" and kind not in kinds.ABOUT_ORDERS:
        return _unknown(message)
    try:
        raw = InboundMessage.all_objects.values_list("raw", flat=True).get(pk=message.pk)
        parsed = Message(opened(raw, message.pk), message.usual_charset)
    except NotHl7:
        return _told(Status.REJECTED, "This is not an HL7 message.")
    return _adt(message, parsed) if kind == "ADT" else _answer(message, parsed)


def _unknown(message: InboundMessage) -> Outcome:
    if message.feed is not None and message.feed.takes_unknown_types:
        return _told(Status.FILED, "It is stored; this type of message is not used here.")
    return _told(Status.REJECTED, "This type of message is not used here.")


def _answer(message: InboundMessage, parsed: Message) -> Outcome:
    """Link an answer to the order it is about; whatever links to nothing is for a person."""
    sent = answers.read(parsed, default_tz=message.zone)
    told = answer_records.answer(sent, came_at=message.received_at, feed_id=message.feed_id, source=message)
    try:
        patient = answering.take(told)
    except answering.Unlinked as reason:
        return _told(Status.WORKLIST, str(reason), findings=parsed.findings)
    return _told(Status.FILED, "", patient, findings=parsed.findings)


def _adt(message: InboundMessage, parsed: Message) -> Outcome:
    policy = message.feed.adt_policy if message.feed else AdtPolicy.OFF
    if policy == AdtPolicy.OFF:
        return _told(Status.REJECTED, "Demographics are not taken from this sender.")
    event = adt.read(parsed, default_tz=message.zone)
    if event.trigger not in adt.UPDATES | adt.MERGES:
        return _unknown(message)
    if event.trigger in adt.MERGES and policy != AdtPolicy.MERGE:
        return _told(Status.WORKLIST, "It says that two records are of one person; merge them by hand if they are.")
    if not event.changes:
        return _told(Status.WORKLIST, "The message names no patient.", findings=event.findings)
    apply = _merge if event.trigger in adt.MERGES else _update
    try:
        with transaction.atomic():
            results = [apply(message, event, change, number) for number, change in enumerate(event.changes, start=1)]
    except (Unmatched, DomainError) as reason:
        return _told(Status.WORKLIST, str(reason), findings=event.findings)
    found = [*event.findings, *(finding for _, more in results for finding in more)]
    patients = {patient.pk: patient for patient, _ in results if patient is not None}
    known = next(iter(patients.values())) if len(patients) == 1 else None
    note = "" if patients else "The record that goes away is not known here."
    return _told(Status.FILED, note, known, findings=found)


def _update(message: InboundMessage, event: Event, change: Change, number: int) -> tuple[Patient | None, list[Finding]]:
    """Take over what a message says of one patient; what is wrong is told and left out."""
    person = change.person
    known = _known(message, event, change)
    said, wrong = demographic_records.said(
        person, country=known.patient.country, by_name=known.by_name, by_birth=known.by_birth
    )
    as_of = event.as_of or message.received_at
    wrong += demographics.update(known.patient, said=said, as_of=as_of, source=message.sha256[:16])
    places = sorted({demographic_records.FIELDS[kind] for kind in wrong})
    return known.patient, [Finding("PID", number, place, "cannot be used; what is on file stays") for place in places]


def _merge(message: InboundMessage, event: Event, change: Change, number: int) -> tuple[Patient | None, list[Finding]]:
    """Merge the record MRG names into the one PID names. Both have to fit the person the message describes."""
    if change.merged is None:
        raise Unmatched("The message does not say which record goes away.")
    person, gone = change.person, change.merged
    stays = _known(message, event, change).patient
    names = (gone.family, gone.given) if gone.family else (person.family, person.given)
    who = demographic_records.patient(gone.identifiers, *names, person.birth_date, person.sex)
    if not identity.on_file(message.feed, who):
        return None, []
    services.merge(identity.find(message.feed, who).found_by, by=None, into=stays)
    return stays, []


def _known(message: InboundMessage, event: Event, change: Change) -> Known:
    """Return whose record it is: as a person decided where the message is about one patient, else as it fits."""
    assigned = message.assigned_patient
    if assigned is not None and len(event.changes) == 1:
        return Known(survivor(assigned), assigned, by_name=True, by_birth=True)
    person = change.person
    who = demographic_records.patient(person.identifiers, person.family, person.given, person.birth_date, person.sex)
    return identity.find(message.feed, who)


def _told(status: str, reason: str, patient: Patient | None = None, findings: Iterable[Finding] = ()) -> Outcome:
    """Return the outcome fields; findings name places and shapes, never values."""
    return {
        "status": status,
        "status_reason": reason,
        "patient_id": patient.pk if patient else None,
        "findings": kept(findings),
    }
