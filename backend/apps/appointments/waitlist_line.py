"""Goes down the line with one freed time: whom to offer it, until when, who is next; without it offers never move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, QuerySet

from backend.apps.appointments import entitled, freed_time, notices
from backend.apps.appointments.models import (
    Appointment,
    EntryStatus,
    FreedSlot,
    OfferStatus,
    SlotStatus,
    WaitlistEntry,
    WaitlistOffer,
)
from backend.apps.appointments.models.waitlist import HOLD, STILL_HELD
from backend.apps.appointments.timing import lane
from backend.apps.core.models import Clinic
from backend.apps.doctors import services as doctors
from backend.apps.messaging.models import ContactRules, MessageKind, PatientMessage
from backend.apps.patients.contacts import points_of

LEAST_HOLD = timedelta(minutes=10)  # a patient who is asked gets that long to answer
SOON, UNSENT = timedelta(seconds=5), timedelta(seconds=60)  # until the next look
UNENTITLED = timedelta(minutes=15)  # until the next look whether the doctor may be booked again
LOOKED_AT = 50  # entries at a time
KIND = MessageKind.WAITLIST_OFFER
OVER = "The time is no longer offered."


class Choice(NamedTuple):
    """Who can be asked, by which channel, and until when tonight."""

    entry: WaitlistEntry
    channel: str
    until: datetime


@dataclass(slots=True)
class Line:
    """Whom of the line a time can be offered now, and when the first of the others can be: awake or free again."""

    found: list[Choice]
    opens_at: datetime | None = None

    def open_at(self, moment: datetime, slot: FreedSlot) -> None:
        """Note that somebody can be asked at a moment, if enough is left to answer then."""
        if moment + LEAST_HOLD <= slot.last_moment:
            self.opens_at = min(moment, self.opens_at or moment)


@transaction.atomic
def go_on(slot: FreedSlot, *, now: datetime) -> bool:
    """Do the next step with a freed time; return whether there will be another, at its `due_at`.

    Safe to repeat and to run twice at once: the row is locked, and every entry is offered a time once, and anew only
    where that offer lapsed because the doctor might not be booked. Offers that somebody is answering at this moment are
    passed over until the next look, so that neither waits for the other.
    now: the database's clock, which the holds run by.
    """
    slot = FreedSlot.objects.select_for_update(no_key=True, of=("self",)).select_related("doctor").get(pk=slot.pk)
    if slot.status == SlotStatus.OPEN and not _is_free(slot):
        slot.move_to(SlotStatus.WITHDRAWN)
    looks = list(_looks(slot, now) if slot.status == SlotStatus.OPEN else _end_all(slot, now))
    if looks:
        FreedSlot.objects.filter(pk=slot.pk).update(due_at=max(min(looks), now + SOON))
    elif slot.status == SlotStatus.OPEN:
        slot.move_to(SlotStatus.EXPIRED)
    return bool(looks)


def why_not(offer: WaitlistOffer | None) -> str | None:
    """Return why the message of this offer must not go out; None when it must. Slot and entry are loaded with it."""
    if offer is None or offer.status != OfferStatus.OFFERED or offer.entry.status != EntryStatus.WAITING:
        return "The offer has ended."
    return None if offer.slot.status == SlotStatus.OPEN else OVER


def _looks(slot: FreedSlot, now: datetime) -> Iterator[datetime]:
    """Settle the offers of an open time and make those that fall due; yield when to look at it again.

    A time of a doctor who may not be booked is offered to nobody until there is a credential or an exception, and then
    again to those whose offers ended for that; an offer that had run out before ended for itself.
    """
    _settle(slot, now)
    if not entitled.may_be_booked(slot.doctor, slot.starts_at):
        yield from _end_all(slot, now, how=OfferStatus.LAPSED)
        if now + UNENTITLED + LEAST_HOLD <= slot.last_moment:
            yield now + UNENTITLED
        return
    held = list(WaitlistOffer.objects.filter(slot=slot, status=OfferStatus.OFFERED))
    if len(held) < settings.WAITLIST_AT_ONCE and now + LEAST_HOLD <= slot.last_moment:
        line = _next_in_line(slot, settings.WAITLIST_AT_ONCE - len(held), now)
        held += [_offer(slot, choice, now) for choice in line.found]
        if line.opens_at:
            yield line.opens_at
    for offer in held:
        yield offer.held_until if offer.sent_at else now + UNSENT


def _is_free(slot: FreedSlot) -> bool:
    """Whether the doctor is there and free."""
    return doctors.is_available(slot.doctor, slot.starts_at, slot.ends) and freed_time.is_free(slot)


def _end_all(slot: FreedSlot, now: datetime, how: OfferStatus = OfferStatus.EXPIRED) -> Iterator[datetime]:
    """End what is still offered of a time that is gone; yield when to look again if that was not all."""
    _end(_unanswered(slot), how)
    if WaitlistOffer.objects.filter(slot=slot, status=OfferStatus.OFFERED).exists():
        yield now


def _unanswered(slot: FreedSlot) -> list[WaitlistOffer]:
    """Return the open offers of a time, locked, without those that are being answered."""
    offers = WaitlistOffer.objects.filter(slot=slot, status=OfferStatus.OFFERED).select_related("entry")
    return list(offers.select_for_update(no_key=True, skip_locked=True, of=("self",)))


def _end(offers: Sequence[WaitlistOffer], how: OfferStatus = OfferStatus.EXPIRED) -> None:
    for offer in offers:
        offer.move_to(how)
    if offers:
        notices.take_back(KIND, [offer.pk for offer in offers], OVER)


def _settle(slot: FreedSlot, now: datetime) -> None:
    """Let holds count from when their message left; end those that ran out, or whose message never will leave."""
    offers, told = _unanswered(slot), _messages(slot)
    over: list[WaitlistOffer] = []
    for offer in offers:
        mine = told.get(offer.pk, [])
        left = max((message.sent_at for message in mine if message.sent_at), default=None)
        lost = mine and all(message.status in notices.IN_VAIN and message.updated_at < now - UNSENT for message in mine)
        if left is None and not lost:  # it is still on its way
            _hold(offer, max(offer.held_until, now + 2 * UNSENT), slot)
        elif left is not None and left != offer.sent_at:
            offer.sent_at = left
            _hold(offer, left + HOLD, slot)
        if lost or offer.held_until <= now or offer.entry.status != EntryStatus.WAITING:
            over.append(offer)
    _end(over)


def _messages(slot: FreedSlot) -> dict[Any, list[PatientMessage]]:
    offers = WaitlistOffer.objects.filter(slot=slot, status=OfferStatus.OFFERED)
    told: dict[Any, list[PatientMessage]] = {}
    for message in PatientMessage.objects.filter(wording=KIND, subject_id__in=offers.values("pk")):
        told.setdefault(message.subject_id, []).append(message)
    return told


def _hold(offer: WaitlistOffer, until: datetime, slot: FreedSlot) -> None:
    offer.held_until = min(until, slot.last_moment)
    offer.save(update_fields=["held_until", "sent_at", "updated_at"])


def _next_in_line(slot: FreedSlot, wanted: int, now: datetime) -> Line:
    """Return the first `wanted` entries that can be offered this time now: in order, reachable, awake and not busy."""
    clinic, rules, line = Clinic.current().zone, ContactRules.current(), Line([])
    for some in _some(_free_now(slot)):
        points = points_of(entry.patient for entry in some)
        for entry in some:
            channel = notices.channel_for(entry.patient, points)
            if channel is None or any(one.entry.patient_id == entry.patient_id for one in line.found):
                continue
            opens_at = notices.opens_next(entry.patient, clinic, rules, now)
            if opens_at > now:
                line.open_at(opens_at, slot)
            elif _take(entry):
                until = notices.closes_next(entry.patient, clinic, rules, now)
                line.found.append(Choice(entry, channel, min(until, slot.last_moment - LEAST_HOLD)))
            if len(line.found) == wanted:
                return line
    if busy_until := _busy_until(slot):
        line.open_at(busy_until, slot)
    return line


def _busy_until(slot: FreedSlot) -> datetime | None:
    """Return when the first of those ends that keep people from being offered this time too."""
    waiting = _fitting(slot).values("patient")
    held = WaitlistOffer.objects.filter(STILL_HELD, entry__patient__in=waiting).exclude(slot=slot)
    until: datetime | None = held.aggregate(until=Min("held_until"))["until"]
    return until


def _free_now(slot: FreedSlot) -> QuerySet[WaitlistEntry]:
    """Return who of the line is offered no other time at this moment: one at a time for each patient."""
    held = WaitlistOffer.objects.filter(STILL_HELD, entry__patient=OuterRef("patient"))
    return _fitting(slot).filter(~Exists(held)).select_related("patient").order_by("created_at", "id")


def _fitting(slot: FreedSlot) -> QuerySet[WaitlistEntry]:
    """Return who wants this time, could come and was not offered it before."""
    offers, visits = (
        WaitlistOffer.objects.exclude(status=OfferStatus.LAPSED),
        Appointment.objects.filter(patient=OuterRef("patient")),
    )
    line = WaitlistEntry.objects.filter(
        freed_time.fits(slot),
        ~Exists(offers.filter(slot=slot, entry=OuterRef("pk"))),
        ~Exists(freed_time.overlapping(slot).filter(patient=OuterRef("patient"))),
        patient__is_deleted=False,
    )
    if not slot.doctor.is_accepting_patients:
        line = line.filter(Exists(visits.filter(doctor=slot.doctor_id)))
    return line.order_by()


def _some(line: QuerySet[WaitlistEntry]) -> Iterator[list[WaitlistEntry]]:
    """Yield the line in pieces; who was looked at is not looked at again."""
    some = list(line[:LOOKED_AT])
    while some:
        yield some
        last = some[-1]
        rest = line.filter(created_at__gte=last.created_at).exclude(pk__in=[one.pk for one in some])
        some = list(rest[:LOOKED_AT]) if len(some) == LOOKED_AT else []


def _take(entry: WaitlistEntry) -> bool:
    """Lock an entry that still waits; somebody who is answering or being withdrawn right now is passed over."""
    rows = WaitlistEntry.objects.select_for_update(no_key=True, skip_locked=True)
    return rows.filter(pk=entry.pk, status=EntryStatus.WAITING).first() is not None


def _offer(slot: FreedSlot, choice: Choice, now: datetime) -> WaitlistOffer:
    held_until = min(now + HOLD, slot.last_moment)
    offer = WaitlistOffer.objects.create(slot=slot, entry=choice.entry, held_until=held_until)
    PatientMessage.work.enqueue(
        dedupe_key=f"waitlist_offer:{offer.pk}",
        patient=choice.entry.patient,
        channel=choice.channel,
        wording=KIND,
        subject_id=offer.pk,
        scheduled_send_time=now,
        useful_until=choice.until,
        lane=lane(slot.starts_at - now),
    )
    return offer
