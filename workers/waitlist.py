"""Moves freed times down the waitlist, and tells what an offer says; without it an offer would stay a row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments import waitlist, waitlist_line
from backend.apps.appointments.models import FreedSlot, WaitlistOffer
from backend.apps.appointments.models.waitlist import HOLD
from backend.apps.appointments.zones import recipient_zone
from backend.apps.core.models import Clinic
from backend.apps.messaging import links
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import ContactRules, LinkPurpose, PatientMessage
from workers.beats import beating
from workers.celery_app import app
from workers.runner import Again, drain


@app.task(name="waitlist.offer")  # type: ignore[untyped-decorator]  # Celery has no types
def offer_due() -> str:
    return drain(FreedSlot, offer)


@app.task(name="waitlist.watch")  # type: ignore[untyped-decorator]  # Celery has no types
def watch() -> str:
    """Wake what a lost bell left asleep; the second run finds nothing."""
    with beating("waitlist holds"):
        woken, ended = waitlist.watch()
    return f"woke {woken}, ended {ended}"


def offer(slot: FreedSlot) -> dict[str, Any]:
    """Offer a freed time to the next in line, or look how the offers stand; return nothing to save.

    Safe to run twice: each step locks the row and reads again how far it is.
    """
    now = FreedSlot.work.annotate(now=Now()).values_list("now", flat=True).get(pk=slot.pk)
    if waitlist_line.go_on(slot, now=now):
        raise Again
    return {}


def late(messages: Sequence[PatientMessage]) -> dict[Any, str | None]:
    """Return for each message why it must not go out now; None when it must."""
    offers = _offers(messages)
    return {message.pk: waitlist_line.why_not(offers.get(message.subject_id)) for message in messages}


def facts(messages: Sequence[PatientMessage]) -> dict[Any, Facts]:
    """Return what each message says; the patients are loaded with the messages. The hold is told from now on."""
    clinic, rules, offers = Clinic.current(), ContactRules.current(), _offers(messages)
    return {
        message.pk: Facts(
            clinic=rules.name_of(clinic),
            phone=clinic.phone,
            zone=clinic.zone,
            patient_zone=recipient_zone(message.patient, clinic),
            starts_at=offers[message.subject_id].slot.starts_at,
            expires_at=told_until(offers[message.subject_id].slot),
            link=links.url(message.pk, LinkPurpose.WAITLIST),
        )
        for message in messages
    }


def told_until(slot: FreedSlot) -> datetime:
    """Return until when a message that leaves now says the time is held; never later than it is."""
    return min(timezone.now() + HOLD, slot.last_moment).replace(second=0, microsecond=0)


def _offers(messages: Collection[PatientMessage]) -> Mapping[Any, WaitlistOffer]:
    keys = {message.subject_id for message in messages}
    return WaitlistOffer.objects.select_related("slot", "entry").in_bulk(keys)
