"""Verifies the audit log by the beat, and says on the pages up to when; else only who asks would know."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from backend.apps.core import alerts, audit_verifying
from backend.apps.core.audit_verifying import Result
from backend.apps.core.models import Alert, AuditCheck

BUDGET_S = 150.0  # of one run of the beat, below the limit of a task; the next one goes on
WHOLE_AFTER = timedelta(hours=20)  # then all is looked at anew, and till then what is new
LATE_AFTER = timedelta(hours=3)
BROKEN = "audit broken"
NOT_AS_SEALED = "The audit log is not as it was sealed ({:,} findings). The first: {}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the audit log stands, and its tone. until: all that was written before it is as it was sealed."""

    tone: str
    word: str
    until: datetime | None = None


def check(*, budget_s: float = BUDGET_S) -> AuditCheck:
    """Verify what is new, once a day all there is; note it, and tell of what was found. Safe to run twice.

    What one run leaves the next one goes on with. An alert stays until all is found to be right.
    """
    begin = _begin()
    result = audit_verifying.verify(begin=begin, deadline=time.monotonic() + budget_s)
    kept = audit_verifying.note(result)
    tell(result)
    return kept


def tell(result: Result) -> None:
    """Open the alert that the log is not as it was sealed, or clear it where all of it was found to be."""
    if not result.good:
        sentence = NOT_AS_SEALED.format(result.wrong, result.findings[0])[:300]
        alerts.open_once(BROKEN, kind="audit_broken", sentence=sentence, severity=Alert.Severity.CRITICAL)
    elif result.whole and result.first <= 1:
        alerts.clear(BROKEN)


def _begin() -> int:
    """Return the seal to begin with: the first, unless all were looked at lately or a run has left some."""
    last = AuditCheck.objects.order_by("-ended_at").first()
    if last is None or not last.good:
        return 1
    if last.verified_until is None:  # it ran out of time
        return last.last + 1
    whole = AuditCheck.objects.filter(good=True, first__lte=1, verified_until__isnull=False).order_by("-ended_at")
    began = whole.values_list("ended_at", flat=True).first()
    return 1 if began is None or began < timezone.now() - WHOLE_AFTER else last.last + 1


def standing() -> Standing:
    """Return what the last look at the audit log found."""
    last = AuditCheck.objects.order_by("-ended_at").first()
    if last is None:
        return Standing("wait", "not verified yet")
    if not last.good:
        return Standing("bad", "not as it was sealed")
    if last.verified_until is None:
        return Standing("wait", "is being verified")
    late = last.ended_at < timezone.now() - LATE_AFTER
    return Standing("wait" if late else "good", "verified", last.verified_until)
