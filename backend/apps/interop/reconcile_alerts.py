"""Tells of books that do not agree or could not be closed; else the same would be told daily, or something new never.

What a person let be by resolving its alert is told again only with something new, or after it was gone meanwhile.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.ledger import Books, as_told
from backend.apps.core.models import Alert, ReconcileRun
from backend.apps.core.models.conservation import HALF
from backend.apps.core.work import AT_REST, GIVEN_UP
from backend.apps.interop import reconcile_let_be
from backend.apps.interop.reconcile_let_be import KIND, Wrong, as_kept, cause_of, found_by, has_news, let_be, still

BROKE_OFF = "reconcile_failed"
SPAN = timedelta(days=8)  # a week and the day it began in
# Closings of all of a part: neither of a range that somebody chose, nor of a half of one.
WHOLE = (
    Q(until=None) & (Q(since=None) | Q(since__lte=F("created_at") - SPAN)) & ~Q(dedupe_key__regex=f"^{HALF.pattern}$")
)


@transaction.atomic
def tell(run: ReconcileRun, books: Books, as_of: datetime) -> dict[str, Any]:
    """Open one critical alert for what does not agree and is not told yet, and clear those of ranges this run covers.

    as_of: a moment before the snapshot of the books. Of what was seen later, or closed later over the same range,
    nothing is said. Returns what the run keeps for the next one.
    """
    told = as_told(books)
    wrong = reconcile_let_be.wrong_in(told["faults"], told["accounts"])
    known = let_be(run)
    if not _is_overtaken(run, as_of):
        own = f"{cause_of(run.part)}{_mark(wrong)}"
        same = _told_already(run.part, wrong) if wrong else None
        _clear_covered(run, as_of, but={own, same.cause if same else own})
        if same is not None:
            _tell_on(same, run, sentence(books))
        elif has_news(wrong, known):
            alerts.open_once(own, kind=KIND, sentence=sentence(books), severity=Alert.Severity.CRITICAL, subject=run)
    return _memory(run, as_of, still(known, wrong))


@transaction.atomic
def judge(run: ReconcileRun, halves: Iterable[Any], as_of: datetime) -> dict[str, Any]:
    """Clear the alerts of what a run covers that was closed in halves, where none of these saw that they hold.

    halves: their keys; as_of: a moment before the first of them looked. Returns what the run keeps for the next one.
    """
    _clear_covered(run, as_of)
    found = reconcile_let_be.together(found_by(halves), rows=operator.add)
    return _memory(run, as_of, still(let_be(run), found))


def tell_broken_off(part: str) -> None:
    """Open an alert while the last try to close the books of a part broke off; clear it when one ended since.

    A try that a person gave up is over: somebody knows, and what he noted is not told on.
    """
    cause = f"reconcile broke off:{part}"
    broken = ReconcileRun.objects.filter(part=part, work_state__in=AT_REST).exclude(last_error__startswith=GIVEN_UP)
    run = broken.order_by("-updated_at").first()
    if run is None or _closed(part).filter(created_at__gt=run.updated_at).exists():
        alerts.clear(cause)
    elif not alerts.dismissed(cause, since=run.updated_at):
        text = f"The books of the {part} could not be closed: {run.last_error}"[:300]
        alerts.open_once(cause, kind=BROKE_OFF, sentence=text, subject=run)


def sentence(books: Books) -> str:
    """Return what is wrong with books that do not agree, in a sentence without ids."""
    missing = sum(one.unexplained for one in books.accounts if one.unexplained > 0)
    nowhere = -sum(one.unexplained for one in books.accounts if one.unexplained < 0)
    rows = [f"{missing:,} rows are missing"] if missing else []
    rows += [f"{nowhere:,} come from nowhere"] if nowhere else []
    checks = [f"{fault.check} ({fault.count:,})" for fault in books.faults]
    return f"The books of the {books.part} do not agree: {', '.join([*rows, *checks])}."[:300]


def disagreed(part: str) -> list[ReconcileRun]:
    """Return the runs that found what a part has open alerts of."""
    keys = list(_open(part).values_list("subject_id", flat=True))
    return list(ReconcileRun.objects.filter(pk__in=keys).defer("books"))


def _mark(wrong: Mapping[str, Wrong]) -> str:
    """Return a short name of what is wrong: the same for the same faults of the same rows and hours."""
    found = sorted((check, one.rows, sorted(one.examples.items())) for check, one in wrong.items())
    return hashlib.sha256(repr(found).encode()).hexdigest()[:12]


def _open(part: str) -> QuerySet[Alert]:
    return Alert.objects.filter(kind=KIND, cause__startswith=cause_of(part), resolved_at__isnull=True)


def _told_already(part: str, wrong: Mapping[str, Wrong]) -> Alert | None:
    """Return the open alert that tells of all of this, if there is one."""
    for alert in _open(part).select_for_update().order_by("opened_at", "id"):
        if any(not has_news(wrong, known) for known in found_by([alert.subject_id])):
            return alert
    return None


def _tell_on(alert: Alert, run: ReconcileRun, says: str) -> None:
    """Note that what an alert tells holds; a run that looked at all of it says what is left, and nobody is called."""
    about = ReconcileRun.objects.filter(pk=alert.subject_id).defer("books").first()
    newest = {"subject_id": str(run.pk), "sentence": says} if about and _covers(run, about) else {}
    now = timezone.now()
    Alert.objects.filter(pk=alert.pk).update(**newest, last_seen_at=now, updated_at=now)


def _clear_covered(run: ReconcileRun, as_of: datetime, but: Iterable[str] = ()) -> None:
    """Clear the alerts of ranges that a run covers, unless another one has seen since then that they hold."""
    stale = _open(run.part).filter(last_seen_at__lt=as_of).exclude(cause__in=list(but))
    told = {one.subject_id: one.cause for one in stale.select_for_update().order_by("opened_at", "id")}
    found = ReconcileRun.objects.filter(pk__in=list(told)).defer("books")
    alerts.clear(*(told[str(other.pk)] for other in found if _covers(run, other)))


def _covers(run: ReconcileRun, other: ReconcileRun) -> bool:
    """Whether a run looks at all that another one looked at; one without an end looks at all that was ever written."""
    from_start = run.since is None or (other.since is not None and run.since <= other.since)
    return from_start and (run.until is None or (other.until is not None and run.until >= other.until))


def _is_overtaken(run: ReconcileRun, as_of: datetime) -> bool:
    """Whether one that looked later, at all that this run looks at, has ended before it."""
    ended = _closed(run.part).filter(ended_at__gt=as_of).exclude(pk=run.pk).defer("books")
    later = [
        one
        for one in ended.annotate(looked=F("books__as_of"))
        if one.looked and datetime.fromisoformat(one.looked) > as_of
    ]
    return any(_covers(other, run) for other in later)


def _memory(run: ReconcileRun, as_of: datetime, known: Mapping[str, Wrong]) -> dict[str, Any]:
    is_whole = ReconcileRun.objects.filter(WHOLE, pk=run.pk).exists()
    kept = {"let_be": as_kept(known)} if is_whole else {}
    return {"as_of": as_of.isoformat(), **kept}


def _closed(part: str) -> QuerySet[ReconcileRun]:
    return ReconcileRun.objects.filter(part=part, agree__isnull=False)
