"""Asks for messages to be filed once more, on trial or in earnest; without it only programmers could replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from backend.apps.core import audit
from backend.apps.core.bases import uuid7
from backend.apps.core.exceptions import DomainError
from backend.apps.laboratory.inbox_filter import InboundMessageFilter
from backend.apps.laboratory.models import InboundMessage, LabReplay, ReplayedMessage, ReplayStatus

MOST_MESSAGES = 20_000
MOST_SHOWN = 200  # places of difference at a time
BATCH = 2_000


def chosen(filter: Any, *, by: Any) -> QuerySet[InboundMessage]:
    """Return the messages a filter of the inbox finds among those `by` may see (None: a machine sees all).

    Raises:
        ValidationError: the inbox has no such filter, or a value that is none.
    """
    rows = InboundMessage.objects.all() if by is None else InboundMessage.objects.visible_to(by)
    unknown = set(filter) - set(InboundMessageFilter.base_filters)
    found = InboundMessageFilter(filter, queryset=rows)
    if unknown or not found.is_valid():
        names = sorted({*unknown, *found.errors})
        raise ValidationError({"filter": [f"The inbox has no such filter or value: {name[:40]}." for name in names]})
    return found.qs


@transaction.atomic
def request(
    *, by: Any, messages: Sequence[UUID] | None = None, filter: Mapping[str, Any] | None = None, dry_run: bool = True
) -> LabReplay:
    """Put a replay of the chosen messages in line: those named, or those a filter finds at this moment."""
    if (messages is None) == (filter is None):
        raise DomainError("Choose messages, or give a filter that does.")
    rows = chosen({} if filter is None else filter, by=by)
    if messages is not None:
        rows = rows.filter(pk__in=set(messages))
    ids = list(rows.order_by("received_at", "id").values_list("pk", flat=True)[: MOST_MESSAGES + 1])
    if messages is not None and len(ids) < len(set(messages)):
        raise DomainError("Some of these messages are not there, or not yours to see.")
    return _in_line(ids, f"replay:{uuid7()}", requested_by=by, dry_run=dry_run)


@transaction.atomic
def apply(replay: LabReplay, *, by: Any) -> LabReplay:
    """Do in earnest what a finished dry run tried; asked twice, it is done once. Return the real run."""
    if not replay.dry_run:
        raise DomainError("This replay was no trial; there is nothing to apply.")
    if replay.status != ReplayStatus.FINISHED:
        raise DomainError(f"This dry run is {replay.status}; only a finished one can be applied.")
    ids = replay.messages.order_by("position").values_list("message", flat=True)
    return _in_line(list(ids), f"replay:of:{replay.pk}", requested_by=by, dry_run=False, of_dry_run=replay)


@transaction.atomic
def cancel(replay: LabReplay, *, by: Any) -> LabReplay:
    """Stop a replay after the part it is at; what it has filed stays filed."""
    pending = LabReplay.work.filter(pk=replay.pk, status=ReplayStatus.PENDING)
    if not pending.update(status=ReplayStatus.CANCELLED, updated_at=timezone.now()):
        raise DomainError(f"This replay is {replay.status}; there is nothing to stop.")
    replay.refresh_from_db(fields=["status", "updated_at"])
    return replay


def _in_line(ids: Sequence[UUID], key: str, **fields: Any) -> LabReplay:
    if not ids:
        raise DomainError("There are no messages to replay.")
    if len(ids) > MOST_MESSAGES:
        raise DomainError(f"Choose at most {MOST_MESSAGES:,} messages at a time.")
    replay: LabReplay = LabReplay.work.enqueue(dedupe_key=key, total=len(ids), **fields)
    rows = [ReplayedMessage(replay=replay, message_id=pk, position=place) for place, pk in enumerate(ids)]
    ReplayedMessage.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
    return replay


def outcomes(replay: LabReplay) -> dict[str, int]:
    """Return how many messages ended how, so far."""
    counted = replay.messages.exclude(status="").values_list("status").annotate(count=Count("pk")).order_by("status")
    return dict(counted)


def difference(replay: LabReplay, *, first: int = 0, most: int = MOST_SHOWN) -> list[dict[str, Any]]:
    """Return at most `most` places at which the charts differ, in the order of the messages, from number `first` on."""
    rows = replay.messages.exclude(difference=[]).order_by("position").values_list("difference", flat=True)
    every = chain.from_iterable(rows.iterator(chunk_size=200))
    return list(islice(every, first, first + most))


def place_asked(text: str) -> int | None:
    """Return the number of the first place a page is asked to show, None for what is no number from 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def note_look(request: Any, replay: LabReplay, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write down whose charts somebody saw a part of, so that the patient finds it."""
    patients = {UUID(entry["patient"]) for entry in entries}
    audit.record_for_each(request, "replay.difference", "labreplay", str(replay.pk), patients=patients)
