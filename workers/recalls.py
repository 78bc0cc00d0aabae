"""Asks who is due to come again, once a day, and tells what the messages say; without it recalls would be rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from backend.apps.appointments import recalls
from backend.apps.appointments.models import Recall
from backend.apps.core.models import Clinic
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import ContactRules, PatientMessage
from workers.beats import beating
from workers.celery_app import app


@app.task(name="recalls.remind")  # type: ignore[untyped-decorator]  # Celery has no types
def remind() -> str:
    """Open what is due and write to those who are; safe to run twice, and after days of downtime it writes once."""
    with beating("recalls"):
        closed, again = recalls.settle()
        opened = recalls.open_due()
        written, handed = recalls.remind(now=timezone.now())
    return f"closed {closed}, open again {again}, opened {opened}, wrote {written}, handed over {handed}"


def late(messages: Sequence[PatientMessage]) -> dict[Any, str | None]:
    """Return for each message why it must not go out now; None when it must."""
    rows = Recall.objects.in_bulk({message.subject_id for message in messages})
    reasons = recalls.why_not(list(rows.values()), now=timezone.now())
    gone = {message.pk: "The recall was deleted." for message in messages if message.subject_id not in rows}
    return {message.pk: gone.get(message.pk) or reasons.get(message.subject_id) for message in messages}


def facts(messages: Sequence[PatientMessage]) -> dict[Any, Facts]:
    """Return what each message says: nothing but who asks, for the kind of visit is nobody's business on the way."""
    clinic, rules = Clinic.current(), ContactRules.current()
    name, mailbox = rules.name_of(clinic), rules.written_to(clinic)
    said = Facts(clinic=name, phone=clinic.phone, email=mailbox, zone=clinic.zone)
    return {message.pk: said for message in messages}
