"""Verifies the audit log by the beat, and says on the pages up to when; else only who asks would know."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet
from django.utils import timezone

from backend.apps.core import alerts, audit_anchored, audit_verifying, audit_waiting, statements
from backend.apps.core.audit_verifying import Result
from backend.apps.core.models import Alert, AuditCheck

BUDGET_S = 150.0  # of one run of the beat, below the limit of a task; the next one goes on
WHOLE_AFTER = timedelta(hours=20)  # then all is looked at anew, and till then what is new
LATE_AFTER = timedelta(hours=3)
BROKEN = "audit broken"
NOT_AS_SEALED = (
    "The audit log, or what proves it, is not as it was sealed ({:,} findings; docs/audit.md says what to do). "
    "The first: {}"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the audit log stands, and its tone. until: all that was written before it is as it was sealed."""

    tone: str
    word: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run of a look goes on: its first seal, and when and with which seal the look began and what it found."""

    first: int
    began_at: datetime
    begun_with: int
    wrong: int = 0


def check(*, budget_s: float = BUDGET_S) -> AuditCheck:
    """Verify what is new, once a day all there is; note it, and tell of what was found. Safe to run twice.

    What one run leaves the next one goes on with, whatever was found. While something is wrong each look is at
    everything, and the alert stays until one that began after the last finding found all to be right.
    """
    run = _next()
    if run.first <= 1:
        audit_anchored.from_the_beginning()
    result = audit_verifying.verify(begin=run.first, deadline=time.monotonic() + budget_s, goes_on=True)
    return note(result, run)


def note(result: Result, run: Run) -> AuditCheck:
    """Keep what a run found, for the pages; open the alert, or clear it after a good look at everything."""
    known, wrong = _known(), run.wrong + result.wrong
    kept = AuditCheck.objects.create(
        began_at=run.began_at, begun_with=run.begun_with, first=result.first, last=result.last, rows=result.rows,
        seals=result.seals, good=result.good, wrong=wrong, findings=result.findings, ended=result.whole,
        verified_until=None if wrong else result.until, ended_at=statements.database_now(),
    )  # fmt: skip
    if wrong > known or (wrong and kept.ended):
        sentence = NOT_AS_SEALED.format(wrong, _first_finding(kept))[:300]
        severity, grown = Alert.Severity.CRITICAL, wrong > known > 0
        alerts.open_once(BROKEN, kind="audit_broken", sentence=sentence, severity=severity, has_grown=grown)
    elif not _is_faulty():
        alerts.clear(BROKEN)
    return kept


def tell_apart(what: str, result: Result) -> None:
    """Tell of what only a person's command looks at, "anchors" or "files"; the beat's looks clear nothing of it."""
    cause = f"{BROKEN}: {what}"
    if result.good:
        alerts.clear(cause)
        return
    sentence = NOT_AS_SEALED.format(result.wrong, result.findings[0])[:300]
    alerts.open_once(cause, kind="audit_broken", sentence=sentence, severity=Alert.Severity.CRITICAL)


def begun(first: int = 1) -> Run:
    """Return the first run of a look that begins now."""
    return Run(first, statements.database_now(), first)


def _next() -> Run:
    """Return what to look at now: what a run has left, else everything once a day or while something is wrong."""
    last = AuditCheck.objects.order_by("-ended_at").first()
    if last is not None and not last.ended:
        return Run(last.last + 1, last.began_at, last.begun_with, last.wrong)
    ended = _whole().order_by("-ended_at").values_list("ended_at", flat=True).first()
    is_due = last is None or ended is None or ended < timezone.now() - WHOLE_AFTER or _is_faulty()
    return begun(1 if is_due or last is None else last.last + 1)


def _whole() -> QuerySet[AuditCheck]:
    return AuditCheck.objects.filter(begun_with__lte=1, ended=True)


def _faults() -> QuerySet[AuditCheck]:
    """Return the runs with findings that no good look at everything has begun after."""
    good = _whole().filter(wrong=0).order_by("-began_at").values_list("began_at", flat=True).first()
    found = AuditCheck.objects.filter(wrong__gt=0)
    return found if good is None else found.filter(ended_at__gt=good)


def _is_faulty() -> bool:
    return _faults().exists()


def _known() -> int:
    """Return how many findings were told of at most."""
    return _faults().aggregate(most=Max("wrong"))["most"] or 0


def _first_finding(kept: AuditCheck) -> str:
    runs = AuditCheck.objects.filter(began_at=kept.began_at).exclude(findings=[]).order_by("ended_at")
    findings = runs.values_list("findings", flat=True).first() or ["it is not named"]
    return str(findings[0])


def standing() -> Standing:
    """Return what the last look at the audit log found."""
    last = AuditCheck.objects.order_by("-ended_at").first()
    if last is None:
        return Standing("wait", "not verified yet")
    if _is_faulty():
        return Standing("bad", "not as it was sealed")
    verified = "is being verified" if last.verified_until is None else "verified"
    if waits := audit_waiting.minutes():
        return Standing("wait", f"not sealed for {waits:,} min, {verified}", last.verified_until)
    if last.verified_until is None:
        return Standing("wait", verified)
    late = last.ended_at < timezone.now() - LATE_AFTER
    return Standing("wait" if late else "good", verified, last.verified_until)
