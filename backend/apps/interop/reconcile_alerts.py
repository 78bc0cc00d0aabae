"""Tells of books that do not agree or could not be closed; else the same would be told daily, or something new never.

What a person let be by resolving its alert is told again only with something new, or after it was gone meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F, Q, QuerySet

from backend.apps.core import alerts
from backend.apps.core.ledger import Books, as_told
from backend.apps.core.models import Alert, ReconcileRun
from backend.apps.core.work import AT_REST

KIND, BROKE_OFF = "reconcile_disagrees", "reconcile_failed"
SPAN = timedelta(days=8)  # a week and the day it began in
NO_EXAMPLES = frozenset[str]()


class Wrong(NamedTuple):
    """How many rows a check found, and the examples of them: ids, or hours with how many."""

    rows: int = 0
    examples: frozenset[str] = NO_EXAMPLES


@transaction.atomic
def tell(run: ReconcileRun, books: Books) -> None:
    """Open one critical alert for what does not agree, and clear those of ranges that this run covers."""
    wrong = _wrong(as_told(books))
    own = f"{_cause(run.part)}{_mark(wrong)}"
    known = {cause: disagreed for disagreed, cause in _causes(run.part)}
    alerts.clear(*(cause for cause, other in known.items() if cause != own and _covers(run, other)))
    if books.agree:
        return
    if own in known:
        alerts.seen([own])
    elif _has_news(wrong, _let_be(run)):
        alerts.open_once(own, kind=KIND, sentence=sentence(books), severity=Alert.Severity.CRITICAL, subject=run)


def tell_broken_off(part: str) -> None:
    """Open an alert while the last try to close the books of a part broke off; clear it when one ended since."""
    cause = f"reconcile broke off:{part}"
    run = ReconcileRun.objects.filter(part=part, work_state__in=AT_REST).order_by("-updated_at").first()
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
    return [run for run, _ in _causes(part)]


def _cause(part: str) -> str:
    return f"reconcile disagrees:{part}:"


def _wrong(told: Mapping[str, Any]) -> dict[str, Wrong]:
    """Return by check and account what is wrong with books as they are told."""
    found = {one["check"]: Wrong(one["count"], frozenset(one["examples"])) for one in told.get("faults", [])}
    for account in told.get("accounts", []):
        if rows := account["unexplained"]:
            name = f"{account['name']}: {'missing' if rows > 0 else 'too many'}"
            found[name] = Wrong(abs(rows) + found.get(name, Wrong()).rows)
    return found


def _mark(wrong: Mapping[str, Wrong]) -> str:
    """Return a short name of what is wrong: the same for the same faults of the same rows and hours."""
    found = sorted((check, one.rows, sorted(one.examples)) for check, one in wrong.items())
    return hashlib.sha256(repr(found).encode()).hexdigest()[:12]


def _causes(part: str) -> list[tuple[ReconcileRun, str]]:
    """Return the open alerts of a part, each with the run that found what it tells of."""
    rows = Alert.objects.filter(kind=KIND, cause__startswith=_cause(part), resolved_at__isnull=True)
    told = dict(rows.values_list("subject_id", "cause"))
    runs = ReconcileRun.objects.filter(pk__in=list(told))
    return [(run, told[str(run.pk)]) for run in runs]


def _covers(run: ReconcileRun, other: ReconcileRun) -> bool:
    """Whether a run looks at all that another one looked at; one without an end looks at all that was ever written."""
    from_start = run.since is None or (other.since is not None and run.since <= other.since)
    return from_start and (run.until is None or (other.until is not None and run.until >= other.until))


def _has_news(wrong: Mapping[str, Wrong], let_be: Mapping[str, Wrong]) -> bool:
    pairs = [(one, let_be.get(check, Wrong())) for check, one in wrong.items()]
    return any(one.rows > known.rows or not one.examples <= known.examples for one, known in pairs)


def _let_be(run: ReconcileRun) -> dict[str, Wrong]:
    """Return what a person let be and each whole closing since then has found as well."""
    settled = Alert.objects.filter(kind=KIND, cause__startswith=_cause(run.part), resolved_by__isnull=False)
    found: dict[str, Wrong] = {}
    for one in ReconcileRun.objects.filter(pk__in=list(settled.values_list("subject_id", flat=True))):
        for check, wrong in _still(_wrong(one.books), one, run).items():
            had = found.get(check, Wrong())
            found[check] = Wrong(max(had.rows, wrong.rows), had.examples | wrong.examples)
    return found


def _still(found: dict[str, Wrong], by: ReconcileRun, run: ReconcileRun) -> dict[str, Wrong]:
    """Return what of that one run found, and those after it went on to find, is not over."""
    whole = Q(since=None) | Q(since__lte=F("created_at") - SPAN)
    later = _closed(by.part).filter(whole, until=None, created_at__gt=by.created_at).exclude(pk=run.pk)
    for books in later.order_by("created_at").values_list("books", flat=True).iterator(chunk_size=20):
        if not found:
            break
        again = _wrong(books)
        found = {
            check: Wrong(one.rows, one.examples & again[check].examples)
            for check, one in found.items() if check in again
        }  # fmt: skip
    return found


def _closed(part: str) -> QuerySet[ReconcileRun]:
    return ReconcileRun.objects.filter(part=part, agree__isnull=False)
