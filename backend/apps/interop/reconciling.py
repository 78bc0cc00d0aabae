"""Closes the books of a part each day or when a person asks, and tells what is wrong until it no longer is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from psycopg.errors import QueryCanceled

from backend.apps.appointments.reconcile import reminders
from backend.apps.core import row_tally
from backend.apps.core.bases import uuid7_text
from backend.apps.core.closing import snapshot
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.ledger import Books, Fault, as_told
from backend.apps.core.models import ReconcileRun
from backend.apps.core.work import WorkState
from backend.apps.credentials.reconcile import credentials
from backend.apps.insurance.reconcile import claims
from backend.apps.interop import reconcile_alerts, reconcile_halves
from backend.apps.interop.export_reconcile import exports
from backend.apps.interop.reconcile_alerts import SPAN
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
TABLES = {  # whose tally tells how much there is to read, and what of it is gone
    "laboratory": ("laboratory_labresult",),
    "reminders": ("appointments_appointmentreminder", "messaging_patientmessage", "messaging_providerevent"),
    "claims": tuple(table for table in row_tally.TALLIED if table.startswith("insurance_")),
    "exports": ("interop_exportjob",),
    "credentials": ("credentials_credentialalert", "credentials_credentialnotice"),
}
SETTLE = timedelta(minutes=15)  # what waits no longer than this is on its way and no fault
MOST_ROWS = 2_000_000  # of one run; more are closed in two halves
BUDGET_S = 180.0  # of one run, below the time limit of a task
EARLIER_S = 120.0  # of it, at most, for all that was written before the range
MOST_ACCOUNTS = 500  # that are kept of a run
UNSETTLED = (WorkState.WAITING, WorkState.RUNNING)


class TooLong(Exception):
    """There is more to read than one run has time for."""


@transaction.atomic
def close_daily() -> int:
    """Put one run of each part in line; return how many are new. Safe to repeat: each part is closed once a day (UTC).

    A run begins SPAN ago or, where that is longer ago, at the moment until which all has been closed without a gap, or
    at the beginning of what does not agree yet. What was ever written is missed whenever that was.
    """
    now, made = timezone.now(), 0
    for part in PARTS:
        key = f"reconcile:{part}:{now.astimezone(row_tally.UTC):%Y-%m-%d}"
        if not ReconcileRun.objects.filter(dedupe_key=key).exists():
            ReconcileRun.work.enqueue(dedupe_key=key, part=part, since=_begin(part, now))
            made += 1
    return made


def _begin(part: str, now: datetime) -> datetime | None:
    begins = [now - SPAN, *filter(None, [_closed_until(part)])]
    for run in reconcile_alerts.disagreed(part):
        if run.since is None:
            return None
        begins.append(run.since)
    return row_tally.floor(min(begins))


def _closed_until(part: str) -> datetime | None:
    """Return the moment until which closings follow each other without a gap; None where there was none yet."""
    runs = ReconcileRun.objects.filter(part=part, agree__isnull=False).order_by(F("since").asc(nulls_first=True))
    spans = list(runs.values_list("since", "until", "created_at"))
    until = min((closed for _, end, closed in spans if end is None), default=None)
    for since, end, closed in spans:
        if until and (since is None or since <= until):
            until = max(until, min(end or closed, closed))
    return until


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
        Permanent: not even an hour, or not all that was written before the range, can be read in the time there is.
    """
    if run.part not in PARTS:
        raise Permanent("there is no such part any more", code="books:part")
    if _rows_in(run) > MOST_ROWS and (middle := _middle(run)):
        return _split(run, middle)
    began, as_of = time.monotonic(), timezone.now()
    earlier = _gone_earlier(run)
    try:
        with _within(BUDGET_S - (time.monotonic() - began)) as look_at_clock:
            books = PARTS[run.part](run.since, run.until, settle=SETTLE, progress=lambda *_: look_at_clock())
    except TooLong:
        if middle := _middle(run):
            return _split(run, middle)
        raise Permanent("there is more in an hour than can be read in one go", code="books:time") from None
    books = replace(books, faults=_together([*earlier, *books.faults]))
    kept = reconcile_alerts.tell(run, books, as_of)
    return {"agree": books.agree, "books": {**_kept(books), **kept}, "ended_at": Now()}


@contextmanager
def _within(seconds: float) -> Iterator[Callable[[], float]]:
    """End what is asked of the database meanwhile when that many seconds are over; yield what tells how many are left.

    Raises:
        TooLong: they are over, between two questions or in the middle of one.
    """
    until = time.monotonic() + seconds

    def left() -> float:
        if (rest := until - time.monotonic()) <= 0:
            raise TooLong
        return rest

    def ask(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        context["cursor"].cursor.execute(f"SET LOCAL statement_timeout = {max(int(left() * 1000), 1)}")
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            if isinstance(error.__cause__, QueryCanceled):
                raise TooLong from None
            raise

    with connection.execute_wrapper(ask):
        yield left


def _gone_earlier(run: ReconcileRun) -> list[Fault]:
    """Return what is gone of all that was written before a range without an end, as its time may be ahead.

    Of a range that was cut, the last half looks at what was written before all of it.

    Raises:
        Permanent: that is too much; halves of the range would not make it less.
    """
    since = reconcile_halves.asked_for(run).since if run.until is None else None
    if since is None:
        return []
    try:
        with _within(EARLIER_S), snapshot() as cursor:
            return row_tally.compare(cursor, TABLES[run.part], None, row_tally.floor(since))[1]
    except TooLong:
        sentence = "there is more from before the range than can be compared in one go"
        raise Permanent(sentence, code="books:earlier") from None


def _together(faults: Iterable[Fault]) -> list[Fault]:
    """Return one fault of each check."""
    found: dict[str, Fault] = {}
    for one in faults:
        had = found.get(one.check, replace(one, count=0, examples=()))
        examples = (*had.examples, *one.examples)[: row_tally.EXAMPLES]
        found[one.check] = replace(one, count=had.count + one.count, examples=examples)
    return list(found.values())


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
    first = run.enqueue_half(0, since=run.since, until=middle)
    last = run.enqueue_half(1, since=middle, until=run.until)
    return {"books": {"split": [str(first.pk), str(last.pk)]}, "ended_at": Now()}


def _kept(books: Books) -> dict[str, Any]:
    """Return books as a run keeps them: of too many accounts first those that do not agree."""
    told = as_told(books)
    accounts = sorted(told["accounts"], key=lambda row: not row["unexplained"])
    return {**told, "accounts": accounts[:MOST_ACCOUNTS]}


def tell_of_the_rest() -> None:
    """Judge what was closed in halves, and tell of what broke off."""
    reconcile_halves.judge_all()
    tell_broken_off()


def tell_broken_off() -> None:
    """Tell of each part whose last try to close its books broke off; who dies in the middle cannot tell it himself."""
    for part in PARTS:
        reconcile_alerts.tell_broken_off(part)


def last_runs() -> dict[str, ReconcileRun | None]:
    """Return the newest run of each part that is, or will be, a verdict."""
    runs = ReconcileRun.objects.filter(~Q(books__has_key="split"))
    return {part: runs.filter(part=part).order_by("-created_at", "id").first() for part in PARTS}
