"""What a patient can do about an offered time by its link; without it each freed hour would cost phone calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpResponse

from backend.apps.appointments import waitlist, zones
from backend.apps.appointments.models import OfferStatus, WaitlistOffer
from backend.apps.core.exceptions import DomainError
from backend.apps.credentials.entitlement import NotEntitled
from backend.apps.interop.answer_frame import Asked, gone

ACTS: dict[str, Callable[..., WaitlistOffer]] = {"accept": waitlist.accept, "decline": waitlist.decline}


def page(asked: Asked) -> HttpResponse:
    """Show the offer by GET; by POST take or leave it. Who took it before has it already."""
    offer = _offer(asked)
    if offer is None:
        return gone(asked)
    if asked.request.method != "POST":
        asked.note("view", "waitlistoffer", offer.pk)
        return shown(asked, offer)
    act = ACTS.get(asked.wants)
    if act is None:
        return shown(asked, offer, wrong=asked.words.unclear)
    try:
        with transaction.atomic():  # what is done is written down, or neither
            act(offer, by=None)
            asked.note(asked.wants, "waitlistoffer", offer.pk)
    except DomainError as refusal:
        asked.note(asked.wants, "waitlistoffer", offer.pk, refused=True)
        if not isinstance(refusal, NotEntitled):
            return _over(asked)
        waitlist.end(offer)
        return _not_bookable(asked)
    return asked.again()


def shown(asked: Asked, offer: WaitlistOffer, *, wrong: str = "") -> HttpResponse:
    words, starts_at = asked.words, offer.slot.starts_at
    if offer.status == OfferStatus.DECLINED:
        return asked.message(words.offer_left, words.offer_left_why)
    if offer.appointment is not None and offer.appointment.is_upcoming:
        return asked.message(words.offer_taken, f"{asked.when(starts_at)}. {words.offer_taken_why}", mark="good")
    if not offer.holds:
        return _over(asked)
    context: dict[str, Any] = {
        "title": words.offer,
        "offer": offer,
        "when": asked.when(starts_at),
        "when_there": asked.when_there(starts_at, zones.recipient_zone(offer.entry.patient, asked.clinic)),
        "until": asked.when(offer.held_until),
        "wrong": wrong,
    }
    return asked.page("offer", context, status=422 if wrong else 200)


def _not_bookable(asked: Asked) -> HttpResponse:
    """Tell no more than to call: why the doctor may not be booked is nothing for a patient."""
    return asked.message(asked.words.offer_over, asked.words.offer_not_bookable, status=410)


def _over(asked: Asked) -> HttpResponse:
    return asked.message(asked.words.offer_over, asked.words.offer_over_why, status=410)


def _offer(asked: Asked) -> WaitlistOffer | None:
    """Return the offer of the link, if it still is the same patient's."""
    if asked.link.subject_id is None:
        return None
    rows = WaitlistOffer.objects.select_related("slot", "entry__patient", "appointment")
    found = rows.filter(pk=asked.link.subject_id).first()
    return found if found and found.entry.patient_id == asked.link.patient_id else None
