"""Opens, clears and settles alerts; without it each watcher would tell the same trouble again every time it looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone

from backend.apps.core import on_call
from backend.apps.core.exceptions import Conflict
from backend.apps.core.models import Alert

DAMPING = timedelta(minutes=15)  # what comes back this soon is the same trouble, not a new one
WORSE = Alert.Severity.values  # each is worse than those before it


@transaction.atomic
def open_once(
    cause: str,
    *,
    kind: str,
    sentence: str,
    severity: str = Alert.Severity.WARNING,
    subject: models.Model | None = None,
    damping: timedelta = DAMPING,
    has_grown: bool = False,
) -> Alert:
    """Return the one open alert of `cause`, opened now if there was none; it says what is true now. Safe to repeat.

    What was resolved less than `damping` ago is opened again as the same row, with what people noted on it; longer ago
    it is a new row. While it is open it stays as severe as it was at its worst. `cause` and `sentence` hold no
    patient's data. Whoever is on call is told by mail of what is not just for information, when it begins, begins
    again, becomes worse or `has_grown`, whoever looked after it until then.
    """
    now = timezone.now()
    about = {"subject_type": subject._meta.model_name, "subject_id": str(subject.pk)} if subject else {}
    fields = {"kind": kind, "opened_at": now, "sentence": sentence, "severity": severity, **about}
    standing = _open(cause)
    found, has_begun = (standing, False) if standing else _begun(cause, now - damping, fields)
    is_worse = not has_begun and WORSE.index(severity) > WORSE.index(found.severity)
    is_news = has_begun or is_worse or has_grown
    says: dict[str, Any] = {"sentence": sentence, "last_seen_at": now, "updated_at": now}
    says |= {"severity": severity} if has_begun or is_worse else {}
    says |= {"news_at": now} if is_news else {}
    says |= {"times": F("times") + 1} if is_news and not has_begun else {}
    Alert.objects.filter(pk=found.pk).update(**says)
    found.refresh_from_db()
    if is_news and on_call.plan(found):
        found.refresh_from_db(fields=["notice"])
    return found


def seen(causes: Iterable[str]) -> int:
    """Note that what these open alerts tell still holds; return how many there are."""
    now = timezone.now()
    return Alert.objects.filter(cause__in=list(causes), resolved_at__isnull=True).update(
        last_seen_at=now, updated_at=now
    )


def clear(*causes: str) -> int:
    """Resolve the open alerts of `causes`, for what they told no longer holds; return how many there were."""
    now = timezone.now()
    return Alert.objects.filter(cause__in=causes, resolved_at__isnull=True).update(resolved_at=now, updated_at=now)


@transaction.atomic
def acknowledge(alert: Alert, *, by: Any) -> Alert:
    """Note that `by` looks after it; the first one to say so stands until it begins again or becomes worse."""
    untended = Alert.objects.filter(~on_call.LOOKED_AFTER)
    return _noted(alert, untended, "acknowledged", by, already="Somebody looks after this alert already.")


@transaction.atomic
def resolve(alert: Alert, *, by: Any) -> Alert:
    """Note that it is settled. If it still holds, the next look may open it again."""
    return _noted(alert, Alert.objects.all(), "resolved", by, already="This alert is resolved already.")


def open_causes(kind: str) -> set[str]:
    """Return the causes of all open alerts of one kind, so that a watcher clears those it no longer finds."""
    return set(Alert.objects.filter(kind=kind, resolved_at__isnull=True).values_list("cause", flat=True))


def dismissed(cause: str, *, since: datetime) -> bool:
    """Whether a person resolved the alert of `cause` that was opened after `since`: then telling again is nagging."""
    return bool(all_dismissed({cause: since}))


def all_dismissed(since: Mapping[str, datetime]) -> set[str]:
    """Return those of many causes that are `dismissed`, each since its own moment, in one query."""
    settled = Alert.objects.filter(cause__in=list(since), resolved_by__isnull=False)
    return {cause for cause, opened_at in settled.values_list("cause", "opened_at") if opened_at >= since[cause]}


def _open(cause: str) -> Alert | None:
    """Return the open alert of this cause, locked until the transaction ends: of two writers the worse one stands."""
    return Alert.objects.select_for_update(no_key=True).filter(cause=cause, resolved_at__isnull=True).first()


def _begun(cause: str, since: datetime, fields: Mapping[str, Any]) -> tuple[Alert, bool]:
    """Open the last alert of this cause again if it was resolved after `since`, else a new one.

    Returns it, and False where another process was first.
    """
    last = Alert.objects.filter(cause=cause, resolved_at__gte=since).order_by("-resolved_at").first()
    if last is not None and _reopened(last):
        return last, True
    return Alert.objects.select_for_update(no_key=True).get_or_create(cause=cause, resolved_at=None, defaults=fields)


def _reopened(alert: Alert) -> bool:
    resolved = Alert.objects.filter(pk=alert.pk, resolved_at__isnull=False)
    try:
        with transaction.atomic():
            return bool(resolved.update(resolved_at=None, resolved_by=None, times=F("times") + 1))
    except IntegrityError:  # another process was first
        return False


def _noted(alert: Alert, rows: models.QuerySet[Alert], what: str, by: Any, *, already: str) -> Alert:
    now = timezone.now()
    unsettled = rows.filter(pk=alert.pk, resolved_at__isnull=True)
    if not unsettled.update(**{f"{what}_by": by, f"{what}_at": now}, updated_at=now):
        raise Conflict(already)
    alert.refresh_from_db()
    return alert
