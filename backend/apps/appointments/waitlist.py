"""Lets who waits for an earlier visit take a time that became free, each in turn; without it two would take one."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.appointments import freed_time, services
from backend.apps.appointments.models import (
    AWAITED,
    Appointment,
    EntryStatus,
    FreedSlot,
    OfferStatus,
    SlotStatus,
    WaitlistEntry,
    WaitlistOffer,
)
from backend.apps.core import dispatch
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.messaging import tasks
from backend.apps.messaging.models import StaffTask

ENDED = "This offer has ended; the place on the waitlist is kept."
TAKEN = "Somebody else took this time first; the place on the waitlist is kept."
NOT_FREE = "This time is no longer free; the place on the waitlist is kept."
NOT_WAITING = "Nobody waits for this any more: it was booked or withdrawn."


@transaction.atomic
def join(*, by: Any, **fields: Any) -> WaitlistEntry:
    """Put a patient at the end of the line; a time that is free already is looked at again."""
    entry = WaitlistEntry(**fields)
    entry.full_clean()
    if entry.patient.is_deleted or (entry.doctor is not None and entry.doctor.is_deleted):
        raise DomainError("The patient or the doctor is no longer on file.")
    if entry.until_on < Clinic.today():
        raise DomainError("These days have passed; choose later ones.")
    entry.save(force_insert=True)
    _look_again(*_wanted_by(entry))
    return entry


@transaction.atomic
def withdraw(entry: WaitlistEntry, *, by: Any) -> WaitlistEntry:
    """Take a patient off the list; a time that is held for them goes to the next."""
    entry.move_to(EntryStatus.WITHDRAWN)
    offers = WaitlistOffer.objects.filter(entry=entry, status=OfferStatus.OFFERED)
    _look_again(*offers.values_list("slot_id", flat=True))
    return entry


@transaction.atomic
def accept(offer: WaitlistOffer, *, by: Any) -> WaitlistOffer:
    """Book the offered time, if it is still held for this patient; who accepted before has it already.

    Rows are locked in one order: offer, entry, time, and then as booking does. So of many who accept at once one wins,
    and nobody waits for somebody who waits for them; the other offers are ended later, by a worker.
    """
    offer = _locked(WaitlistOffer, offer.pk)
    if offer.status == OfferStatus.ACCEPTED:
        return offer
    entry, slot = _locked(WaitlistEntry, offer.entry_id), _locked(FreedSlot, offer.slot_id)
    _refuse(offer, entry, slot)
    slot.move_to(SlotStatus.TAKEN)
    visit = services.book(
        by=by,
        patient=entry.patient,
        doctor=slot.doctor,
        appointment_datetime=slot.starts_at,
        duration_minutes=entry.duration_minutes,
        appointment_type=slot.appointment_type,
        location=slot.location,
    )
    entry.move_to(EntryStatus.BOOKED)
    offer.move_to(OfferStatus.ACCEPTED, appointment=visit)
    _look_again(slot.pk)
    _ask_about_later_visit(visit)
    return offer


@transaction.atomic
def decline(offer: WaitlistOffer, *, by: Any) -> WaitlistOffer:
    """Leave the time to the next in line; the patient stays on the list for other times, one of which may be free."""
    offer = _locked(WaitlistOffer, offer.pk)
    if offer.status == OfferStatus.DECLINED:
        return offer
    if offer.status == OfferStatus.ACCEPTED:
        raise DomainError("This time is booked already; cancel the visit instead.")
    if offer.status in {OfferStatus.EXPIRED, OfferStatus.LAPSED}:
        raise DomainError(ENDED)
    offer.move_to(OfferStatus.DECLINED)
    _look_again(offer.slot_id, *_wanted_by(offer.entry))
    return offer


@transaction.atomic
def end(offer: WaitlistOffer) -> None:
    """End an offer that was held while the doctor might not be booked; its time is looked at at once."""
    offer = _locked(WaitlistOffer, offer.pk)
    if offer.status == OfferStatus.OFFERED:
        offer.move_to(OfferStatus.LAPSED)
        _look_again(offer.slot_id)


@transaction.atomic
def watch() -> tuple[int, int]:
    """Take off the list whose days have passed; wake the times held too long or for nobody. Return woken and ended.

    For nobody: who was offered it has left the list since, by a day or by a merge of two records.
    """
    late = WaitlistEntry.objects.filter(status=EntryStatus.WAITING, until_on__lt=Clinic.today())
    ended = late.update(status=EntryStatus.WITHDRAWN, updated_at=Now())
    over = Q(held_until__lte=Now()) | ~Q(entry__status=EntryStatus.WAITING)
    offers = WaitlistOffer.objects.filter(over, status=OfferStatus.OFFERED)
    return _look_again(*offers.values_list("slot_id", flat=True)), ended


def _locked(model: Any, pk: Any) -> Any:
    return model.objects.select_for_update(no_key=True).get(pk=pk)


def _refuse(offer: WaitlistOffer, entry: WaitlistEntry, slot: FreedSlot) -> None:
    if slot.status == SlotStatus.TAKEN:
        raise Conflict(TAKEN)
    if slot.status == SlotStatus.WITHDRAWN:
        raise Conflict(NOT_FREE)
    if entry.status != EntryStatus.WAITING:
        raise DomainError(NOT_WAITING)
    held = WaitlistOffer.objects.filter(pk=offer.pk, status=OfferStatus.OFFERED, held_until__gt=Now())
    if slot.status != SlotStatus.OPEN or not held.exists():
        raise Conflict(ENDED)
    if not freed_time.is_free(slot):
        raise Conflict(NOT_FREE)


def _wanted_by(entry: WaitlistEntry) -> list[Any]:
    return list(freed_time.wanted_by(entry).values_list("pk", flat=True))


def _look_again(*slots: Any) -> int:
    """Let a worker look at these times at once; all wake several in one order."""
    asleep = FreedSlot.objects.filter(pk__in=slots, due_at__gt=Now()).order_by("pk").select_for_update(no_key=True)
    keys = list(asleep.values_list("pk", flat=True))
    woken = FreedSlot.objects.filter(pk__in=keys).update(due_at=Now(), updated_at=Now())
    if slots:
        dispatch.ring(FreedSlot.task_name)
    return woken


def _ask_about_later_visit(visit: Appointment) -> None:
    """Let the desk ask whether a later visit of the same kind is still wanted: whoever wanted earlier often has one."""
    later = Appointment.objects.filter(
        patient=visit.patient_id,
        appointment_type=visit.appointment_type,
        status__in=AWAITED,
        appointment_datetime__gt=visit.appointment_datetime,
    ).first()
    if later is not None:
        tasks.open_once(
            StaffTask.Kind.RESCHEDULE,
            f"earlier_visit:{later.pk}",
            "Took an earlier time from the waitlist; ask whether the later visit of the same kind is still wanted.",
            patient=visit.patient,
            subject_id=later.pk,
        )
