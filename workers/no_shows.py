"""Decides late whether a missed visit is still worth a message; else who came back would be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from backend.apps.appointments import no_shows
from backend.apps.messaging.models import PatientMessage
from workers.visits import visits_of


def late(messages: Sequence[PatientMessage]) -> dict[Any, str | None]:
    """Return for each message why it must not go out now; None when it must."""
    visits = visits_of(messages)
    reasons = no_shows.why_not(list(visits.values()), now=timezone.now())
    return {message.pk: reasons.get(message.subject_id) for message in messages}
