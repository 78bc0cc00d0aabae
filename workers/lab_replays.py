"""Files stored messages once more, on trial or in earnest, and keeps how the charts differ; else nobody could try."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from backend.apps.core.work import WorkState
from backend.apps.laboratory import charts, inbox
from backend.apps.laboratory.models import InboundMessage, LabReplay, LabResult, ReplayedMessage, ReplayStatus
from backend.apps.laboratory.models.inbound import AT_REST, RETRIED
from backend.apps.patients.models import Patient
from integrations.errors import Permanent
from workers import lab_results
from workers.celery_app import app
from workers.runner import Again, NotNeeded, drain

BUDGET_S = 120.0  # of one lease; then the row goes back in line with its progress saved
PLACED_AT_ONCE, FILED_AT_ONCE = 200, 100  # messages in one transaction
IN_LINE, LEFT, BROKEN = "in line", "left", "broken"  # what else than an outcome of filing a message may end as
TOLD = {
    IN_LINE: "It is in line to be filed already.",
    LEFT: "A person skipped it; put it back in line first.",
}
FILING_BUGS = (DataError, IntegrityError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

Outcome = Mapping[str, Any]


@app.task(name="lab_replays.run")  # type: ignore[untyped-decorator]  # Celery has no types
def run_due() -> str:
    return drain(LabReplay, run, batch=1)


def run(replay: LabReplay) -> dict[str, Any]:
    """Do as much of the replay as one lease allows; return the fields to save when all of it is done.

    Safe to run twice and to be killed: each group of messages is filed and noted in one transaction, under the lease.

    Raises:
        Again: there is more to do.
        NotNeeded: somebody cancelled it, or another worker has it.
    """
    until = time.monotonic() + BUDGET_S
    for part in (_place_some, _group_all, _file_some):
        while part(replay):
            if time.monotonic() > until:
                raise Again
    return {"status": ReplayStatus.FINISHED, "finished_at": timezone.now()}


@contextmanager
def _under_lease(replay: LabReplay) -> Iterator[None]:
    """A transaction that holds the replay's row: no part is noted twice, nor after somebody cancelled it."""
    with transaction.atomic():
        rows = LabReplay.work.select_for_update(no_key=True).filter(pk=replay.pk)
        mine = rows.filter(work_state=WorkState.RUNNING, lease_no=replay.lease_no).only("status").first()
        if mine is None:
            raise NotNeeded("another worker has this replay")
        if mine.status != ReplayStatus.PENDING:
            raise NotNeeded("this replay was cancelled", finished_at=timezone.now())
        yield


def _place_some(replay: LabReplay) -> bool:
    """Find out whose charts the next messages touch, by filing them and taking that back; False when none is left."""
    unplaced = replay.messages.filter(charts__isnull=True).select_related("message").defer("message__raw")
    items = list(unplaced.order_by("position")[:PLACED_AT_ONCE])
    if not items:
        return False
    touched = _touched([item.message for item in items if not _why_not(item.message)])
    for item in items:
        item.charts = sorted(touched[item.message_id])
    with _under_lease(replay):
        ReplayedMessage.objects.bulk_update(items, ["charts"])
    return True


def _touched(messages: Sequence[InboundMessage]) -> dict[UUID, set[str]]:
    """Return the keys of the patients each message would touch."""
    touched: dict[UUID, set[str]] = defaultdict(set)
    with transaction.atomic():
        for message, outcome in zip(messages, _filed(messages), strict=True):
            touched[message.pk] |= {str(outcome["patient_id"])} if outcome.get("patient_id") else set()
        results = LabResult.all_objects.filter(source_message__in=[message.pk for message in messages])
        for message_id, patient_id in results.values_list("source_message", "lab_order__patient"):
            touched[message_id].add(str(patient_id))
        transaction.set_rollback(True)
    return touched


def _group_all(replay: LabReplay) -> bool:
    """Give messages that share a chart one group, in the order of their first messages; False when all have one."""
    items = list(replay.messages.filter(group=None).only("charts", "position").order_by("position"))
    if items:
        for item, group in zip(items, groups([item.charts or [] for item in items]), strict=True):
            item.group = group
        with _under_lease(replay):
            ReplayedMessage.objects.bulk_update(items, ["group"], batch_size=1000)
    return False


def groups(charts_of: Sequence[Sequence[str]]) -> list[int]:
    """Return the number of the group of each list: lists that share a chart, be it by way of others, are one group."""
    parent = list(range(len(charts_of)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    first: dict[str, int] = {}
    for place, names in enumerate(charts_of):
        for name in names:
            one, other = sorted((root(first.setdefault(name, place)), root(place)))
            parent[other] = one
    return [root(place) for place in range(len(parent))]


def _file_some(replay: LabReplay) -> bool:
    """File the next whole groups and note what became of them and of their charts; False when none is left."""
    items = _next(replay)
    if not items:
        return False
    if replay.dry_run:
        with transaction.atomic():
            differs = _file_all(items, in_earnest=False)
            transaction.set_rollback(True)
        with _under_lease(replay):
            _note(replay, items, differs)
    else:
        with _under_lease(replay):
            _note(replay, items, _file_all(items, in_earnest=True))
    return True


def _next(replay: LabReplay) -> list[ReplayedMessage]:
    """Return the messages of the next groups, `FILED_AT_ONCE` or what the one group that is larger has."""
    left = replay.messages.filter(done_at=None)
    ahead = left.order_by("group").values_list("group", flat=True)[: FILED_AT_ONCE + 1]
    names = list(ahead)
    whole = {name for name in names if len(names) <= FILED_AT_ONCE or name != names[-1]} or set(names)
    return list(left.filter(group__in=whole).order_by("position"))


def _file_all(items: Sequence[ReplayedMessage], *, in_earnest: bool) -> list[dict[str, Any]]:
    """File the messages in the order they came; return how their charts differ after that."""
    patients = {UUID(name) for item in items for name in item.charts or ()}
    list(Patient.all_objects.select_for_update(no_key=True).filter(pk__in=patients).order_by("pk").values("pk"))
    rows = InboundMessage.all_objects.select_for_update(no_key=True, of=("self",)).defer("raw").order_by("pk")
    messages = rows.in_bulk([item.message_id for item in items])
    before = charts.read(patients)
    todo = []
    for item in items:
        item.status = _why_not(messages[item.message_id])
        item.status_reason = TOLD.get(item.status, "")
        todo += [] if item.status else [item]
    outcomes = _filed([messages[item.message_id] for item in todo])
    for item, outcome in zip(todo, outcomes, strict=True):
        item.status, item.status_reason = outcome["status"], outcome.get("status_reason", "")
        if in_earnest and messages[item.message_id].status in RETRIED and item.status != BROKEN:
            InboundMessage.all_objects.filter(pk=item.message_id).update(
                **outcome,
                work_state=WorkState.DONE,
                last_error="",
                lease_no=F("lease_no") + 1,  # a machine had it
                updated_at=timezone.now(),
            )
    return charts.difference(before, charts.read(patients))


def _why_not(message: InboundMessage) -> str:
    if message.work_state not in AT_REST:
        return IN_LINE
    return LEFT if inbox.was_skipped(message) else ""


def _filed(messages: Sequence[InboundMessage]) -> list[dict[str, Any]]:
    """File the messages in the transaction around, together, or one by one where one of them breaks that."""
    try:
        with transaction.atomic():
            return [dict(outcome) for outcome in lab_results.file_all(messages)] if messages else []
    except (Permanent, *FILING_BUGS) as trouble:
        if len(messages) > 1:
            return [outcome for message in messages for outcome in _filed([message])]
        if isinstance(trouble, Permanent):
            return [{"status": BROKEN, "status_reason": str(trouble)[:300]}]
        return [
            {"status": BROKEN, "status_reason": f"Filing it broke ({type(trouble).__name__})."}
        ]  # its text may tell


def _note(replay: LabReplay, items: Sequence[ReplayedMessage], differs: list[dict[str, Any]]) -> None:
    now = timezone.now()
    for item in items:
        item.done_at = now
    items[-1].difference = differs
    ReplayedMessage.objects.bulk_update(items, ["status", "status_reason", "difference", "done_at"], batch_size=500)
    more = {name: F(name) + count for name, count in charts.counts(differs).items() if count}
    LabReplay.work.filter(pk=replay.pk).update(**more, done=F("done") + len(items), updated_at=now)
