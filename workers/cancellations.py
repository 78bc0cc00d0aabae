"""Decides late whether a patient still has to hear that a visit was cancelled; else who is awaited would stay away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.apps.appointments.models import Appointment
from backend.apps.messaging.models import PatientMessage
from workers.visits import visits_of


def late(messages: Sequence[PatientMessage]) -> dict[Any, str | None]:
    """Return for each message why it must not go out now; None when it must. `useful_until` is its beginning."""
    visits = visits_of(messages)
    cancelled = {key for key, visit in visits.items() if visit.status == Appointment.Status.CANCELLED}
    return {row.pk: None if row.subject_id in cancelled else "The visit is not cancelled." for row in messages}
