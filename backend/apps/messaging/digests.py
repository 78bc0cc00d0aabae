"""Lets one text tell a family of all its visits; without it each child would cost the number another text that day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import F
from django.db.models.functions import Now

from backend.apps.core.work import LEASE, NOT_BEGUN, WorkState
from backend.apps.messaging.models import Channel, MessageStatus, OutgoingMessage
from backend.apps.patients import contacts

Message = TypeVar("Message", bound=OutgoingMessage)


def waiting_for(
    model: type[Message], until: Mapping[str, datetime], *, but: Sequence[Any], with_: Sequence[str]
) -> list[Message]:
    """Return texts nobody has begun to send, locked: to these numbers and due before the moment given for each.

    but: keys of messages that are ours already. with_: relations to load along.
    """
    if not until:
        return []
    numbers = contacts.with_numbers(until, path=_patient_of(model))
    rows = (
        model.objects.filter(
            NOT_BEGUN,
            numbers,
            status=MessageStatus.PENDING,
            due_at__lt=max(until.values()),
            **{model.channel_column: Channel.SMS},
        )
        .exclude(pk__in=but)
        .select_related(*with_)
        .order_by("due_at", "pk")
        .select_for_update(of=("self",), skip_locked=True, no_key=True)
    )
    found = [(row, contacts.address_of(row.patient, Channel.SMS)) for row in rows]
    return [row for row, number in found if number in until and row.due_at < until[number]]


def take(rows: Iterable[Message]) -> None:
    """Lease and begin rows that we have locked; who had leased one before and not begun it loses it."""
    mine = list(rows)
    if not mine:
        return
    type(mine[0]).objects.filter(pk__in=[row.pk for row in mine]).update(
        work_state=WorkState.RUNNING,
        leased_until=Now() + LEASE,
        begun_at=Now(),
        lease_no=F("lease_no") + 1,
        attempts=F("attempts") + 1,
        updated_at=Now(),
    )
    for row in mine:
        row.work_state, row.lease_no, row.attempts = WorkState.RUNNING, row.lease_no + 1, row.attempts + 1


def _patient_of(model: type[OutgoingMessage]) -> str:
    """Return the path from a message to its patient, as "patient__"."""
    path = model.access.patient or "patient_id"
    return f"{path.removesuffix('_id')}__"
