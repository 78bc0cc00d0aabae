"""Closes the books of a part each day or when a person asks, and tells what is wrong until it no longer is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments.reconcile import reminders
from backend.apps.core import alerts, row_tally
from backend.apps.core.bases import uuid7_text
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.ledger import Books
from backend.apps.core.models import Alert, ReconcileRun
from backend.apps.core.work import WorkState
from backend.apps.credentials.reconcile import credentials
from backend.apps.insurance.reconcile import claims
from backend.apps.interop.export_reconcile import exports
from backend.apps.laboratory.reconcile import laboratory
from backend.apps.users.models import User
from integrations.errors import Permanent

PARTS: dict[str, Callable[..., Books]] = {
    "laboratory": laboratory,
    "reminders": reminders,
    "claims": claims,
    "exports": exports,
    "credentials": credentials,
}
TABLES = {  # whose tally tells how much there is to read
    "laboratory": ("laboratory_labresult",),
    "reminders": ("appointments_appointmentreminder", "messaging_patientmessage", "messaging_providerevent"),
    "claims": ("insurance_insuranceclaim", "insurance_submission"),
    "exports": ("interop_exportjob",),
    "credentials": ("credentials_credentialalert", "credentials_credentialnotice"),
}
KIND = "reconcile_disagrees"
SPAN = timedelta(days=8)  # a week and the day it began in
SETTLE = timedelta(minutes=15)  # what waits no longer than this is on its way and no fault
MOST_ROWS = 2_000_000  # of one run; more are closed in two halves
BUDGET_S = 180.0  # of one run, below the time limit of a task
MOST_ACCOUNTS = 500  # that are kept of a run
UNSETTLED = (WorkState.WAITING, WorkState.RUNNING)


class TooLong(Exception):
    """There is more to read than one run has time for."""


@transaction.atomic
def close_daily() -> int:
    """Put one run of each part in line; return how many are new. Safe to repeat: each part is closed once a day (UTC).

    A run begins SPAN ago or, where that is longer ago, at the last run or at the beginning of what does not agree yet.
    """
    now, made = timezone.now(), 0
    for part in PARTS:
        key = f"reconcile:{part}:{now.astimezone(row_tally.UTC):%Y-%m-%d}"
        if not ReconcileRun.objects.filter(dedupe_key=key).exists():
            ReconcileRun.work.enqueue(dedupe_key=key, part=part, since=_begin(part, now))
            made += 1
    return made


def _begin(part: str, now: datetime) -> datetime | None:
    last = ReconcileRun.objects.filter(part=part, agree__isnull=False, until=None).order_by("-created_at").first()
    begins = [now - SPAN, *([last.created_at] if last else [])]
    for run in _disagreed(part):
        if run.since is None:
            return None
        begins.append(run.since)
    return row_tally.floor(min(begins))


@transaction.atomic
def ask(part: str, *, since: datetime | None, until: datetime | None, by: User | None) -> ReconcileRun:
    """Put a run in line that a person asks for. None: from the first, to the last.

    Raises:
        DomainError: there is no such part, or nothing in the range.
        Conflict: the part is being closed already.
    """
    if part not in PARTS:
        raise DomainError("Choose one of the parts that are listed.")
    if since and since > timezone.now():
        raise DomainError("The range begins in the future: there is nothing in it yet.")
    if since and until and until <= since:
        raise DomainError("The range ends before it begins.")
    if ReconcileRun.objects.filter(part=part, work_state__in=UNSETTLED).exists():
        raise Conflict("The books of this part are being closed already; wait for that.")
    key = f"reconcile:{part}:{uuid7_text()}"
    return ReconcileRun.work.enqueue(dedupe_key=key, part=part, since=since, until=until, requested_by=by)


@transaction.atomic
def retry(run: ReconcileRun, *, by: User | None) -> ReconcileRun:
    """Put a run that the machine gave up back in line.

    Raises:
        Conflict: it is not at rest.
    """
    if not ReconcileRun.work.back_in_line(run.pk):
        raise Conflict("This run has ended or is in line already.")
    run.refresh_from_db()
    return run


def close(run: ReconcileRun) -> Mapping[str, Any]:
    """Close the books a run is for and tell what is wrong; return the fields to save. Safe to repeat: it only reads.

    Raises:
        Permanent: not even an hour can be read in the time there is.
    """
    if run.part not in PARTS:
        raise Permanent("there is no such part any more", code="books:part")
    if _rows_in(run) > MOST_ROWS and (middle := _middle(run)):
        return _split(run, middle)
    until = time.monotonic() + BUDGET_S
    try:
        books = PARTS[run.part](run.since, run.until, settle=SETTLE, progress=lambda *_: _look_at_clock(until))
    except TooLong:
        if middle := _middle(run):
            return _split(run, middle)
        raise Permanent("there is more in an hour than can be read in one go", code="books:time") from None
    tell(run, books)
    return {"agree": books.agree, "books": _kept(books), "ended_at": Now()}


def _look_at_clock(until: float) -> None:
    if time.monotonic() > until:
        raise TooLong


def _rows_in(run: ReconcileRun) -> int:
    with connection.cursor() as cursor:
        return row_tally.written(cursor, TABLES[run.part], run.since, run.until)


def _middle(run: ReconcileRun) -> datetime | None:
    """Return where a range is cut in two; None where it is too short for that."""
    with connection.cursor() as cursor:
        middle = row_tally.middle(cursor, TABLES[run.part], run.since, run.until)
    is_inside = middle is not None and (run.since is None or middle > run.since)
    return middle if is_inside and (run.until is None or (middle is not None and middle < run.until)) else None


@transaction.atomic
def _split(run: ReconcileRun, middle: datetime) -> Mapping[str, Any]:
    spans = ((run.since, middle), (middle, run.until))
    parts = [
        ReconcileRun.work.enqueue(
            dedupe_key=f"reconcile:{run.pk}:{place}", part=run.part, since=since, until=until,
            requested_by=run.requested_by,
        )
        for place, (since, until) in enumerate(spans)
    ]  # fmt: skip
    return {"books": {"split": [str(one.pk) for one in parts]}, "ended_at": Now()}


@transaction.atomic
def tell(run: ReconcileRun, books: Books) -> None:
    """Open one critical alert for what does not agree, and clear those of ranges that this run covers.

    The same faults are told once: a person who resolved the alert of them is not told again.
    """
    own = f"reconcile disagrees:{run.part}:{_mark(books)}"
    known = {cause: disagreed for disagreed, cause in _causes(run.part)}
    alerts.clear(*(cause for cause, other in known.items() if cause != own and _covers(run, other)))
    if books.agree:
        return
    if own in known:
        alerts.seen([own])
    elif not alerts.dismissed(own, since=datetime.min.replace(tzinfo=row_tally.UTC)):
        alerts.open_once(own, kind=KIND, sentence=sentence(books), severity=Alert.Severity.CRITICAL, subject=run)


def sentence(books: Books) -> str:
    """Return what is wrong with books that do not agree, in a sentence without ids."""
    missing = sum(one.unexplained for one in books.accounts if one.unexplained > 0)
    nowhere = -sum(one.unexplained for one in books.accounts if one.unexplained < 0)
    rows = [f"{missing:,} rows are missing"] if missing else []
    rows += [f"{nowhere:,} come from nowhere"] if nowhere else []
    checks = [f"{fault.check} ({fault.count:,})" for fault in books.faults]
    return f"The books of the {books.part} do not agree: {', '.join([*rows, *checks])}."[:300]


def _mark(books: Books) -> str:
    """Return a short name of what is wrong: the same for the same faults."""
    faults = sorted((fault.check, fault.count) for fault in books.faults)
    rows = sorted((one.name, one.unexplained) for one in books.accounts if one.unexplained)
    return hashlib.sha256(repr((faults, rows)).encode()).hexdigest()[:12]


def _causes(part: str) -> list[tuple[ReconcileRun, str]]:
    """Return the open alerts of a part, each with the run that found what it tells of."""
    rows = Alert.objects.filter(kind=KIND, cause__startswith=f"reconcile disagrees:{part}:", resolved_at__isnull=True)
    told = dict(rows.values_list("subject_id", "cause"))
    runs = ReconcileRun.objects.filter(pk__in=list(told))
    return [(run, told[str(run.pk)]) for run in runs]


def _disagreed(part: str) -> list[ReconcileRun]:
    return [run for run, _ in _causes(part)]


def _covers(run: ReconcileRun, other: ReconcileRun) -> bool:
    """Whether a run looks at all that another one looked at."""
    from_start = run.since is None or (other.since is not None and run.since <= other.since)
    end = other.until or other.ended_at
    return from_start and (run.until is None or (end is not None and run.until >= end))


def as_told(books: Books) -> dict[str, Any]:
    """Return books as JSON, with verdicts."""
    told = asdict(books)
    for account, row in zip(books.accounts, told["accounts"], strict=True):
        row["unexplained"] = account.unexplained
    for name in ("since", "until", "waiting_since"):
        told[name] = told[name].isoformat() if told[name] else None
    return {**told, "agree": books.agree}


def _kept(books: Books) -> dict[str, Any]:
    """Return books as a run keeps them: of too many accounts first those that do not agree."""
    told = as_told(books)
    accounts = sorted(told["accounts"], key=lambda row: not row["unexplained"])
    return {**told, "accounts": accounts[:MOST_ACCOUNTS]}


def last_runs() -> dict[str, ReconcileRun | None]:
    """Return the newest run of each part that is, or will be, a verdict."""
    runs = ReconcileRun.objects.filter(~Q(books__has_key="split"))
    return {part: runs.filter(part=part).order_by("-created_at", "id").first() for part in PARTS}
