"""Makes entries of the waitlist, freed times, offers and recalls for tests; each of people of their own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from backend.apps.appointments.models import FreedSlot, Recall, RecallRule, WaitlistEntry, WaitlistOffer
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_always_available, make_doctor


def make_waitlist_entry(**over: Any) -> WaitlistEntry:
    """Save a wish of a reachable patient for any time of the next months, with any doctor."""
    over.setdefault("patient", None)
    today = Clinic.today()
    fields = {"from_on": today, "until_on": today + timedelta(days=200), **over}
    return WaitlistEntry.objects.create(**{**fields, "patient": over["patient"] or make_reachable_patient()})


def make_freed_slot(**over: Any) -> FreedSlot:
    """Save the time of a cancelled visit of a doctor who sees patients at any time."""
    over.setdefault("freed_by", None)
    visit = over.pop("freed_by") or make_appointment(
        doctor=over.get("doctor") or make_always_available(make_doctor()), status="cancelled"
    )
    fields = {
        "doctor": visit.doctor,
        "starts_at": visit.appointment_datetime,
        "duration_minutes": visit.duration_minutes,
        "appointment_type": visit.appointment_type,
        "dedupe_key": f"freed:{visit.pk}:{visit.version}",
        **over,
    }
    return FreedSlot.objects.create(freed_by=visit, **fields)


def make_waitlist_offer(**over: Any) -> WaitlistOffer:
    """Save an offer that holds for another half hour."""
    over.setdefault("slot", None)
    over.setdefault("entry", None)
    fields = {
        "held_until": timezone.now() + timedelta(minutes=30),
        **over,
        "slot": over["slot"] or make_freed_slot(),
        "entry": over["entry"] or make_waitlist_entry(),
    }
    return WaitlistOffer.objects.create(**fields)


def make_recall_rule(**over: Any) -> RecallRule:
    return RecallRule.objects.create(
        **{"name": "Half a year", "appointment_type": "consultation", "after_days": 180, **over}
    )


def make_recall(**over: Any) -> Recall:
    """Save a recall of a reachable patient that is due since yesterday."""
    over.setdefault("patient", None)
    fields = {
        "appointment_type": "consultation",
        "due_on": Clinic.today() - timedelta(days=1),
        **over,
        "patient": over["patient"] or make_reachable_patient(),
    }
    return Recall.objects.create(**fields)
