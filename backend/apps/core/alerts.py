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


@transaction.atomic
def open_once(
    cause: str,
    *,
    kind: str,
    sentence: str,
    severity: str = Alert.Severity.WARNING,
    subject: models.Model | None = None,
    damping: timedelta = DAMPING,
) -> Alert:
    """Return the one open alert of `cause`, opened now if there was none; it says what is true now. Safe to repeat.

    What was resolved less than `damping` ago is opened again as the same row, with what people noted on it; longer ago
    it is a new row. `cause` and `sentence` hold no patient's data. Whoever is on call is told by mail of what is not
    just for information, when it begins, begins again, or becomes critical, whoever looked after it until then.
    """
    now = timezone.now()
    says = {"sentence": sentence, "severity": severity, "last_seen_at": now}
    found = _open(cause)
    is_news = found is None or (severity == Alert.Severity.CRITICAL != found.severity)
    says |= {"news_at": now} if is_news else {}
    found = found or _reopened(cause, now - damping)
    if found is None:
        about = {"subject_type": subject._meta.model_name, "subject_id": str(subject.pk)} if subject else {}
        fields = {"kind": kind, "opened_at": now, **says, **about}
        found, _ = Alert.objects.get_or_create(cause=cause, resolved_at=None, defaults=fields)
    Alert.objects.filter(pk=found.pk).update(**says, updated_at=now)
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
    """Note that `by` looks after it; the first one to say so stands."""
    return _note(alert, "acknowledged", by, already="Somebody looks after this alert already.")


@transaction.atomic
def resolve(alert: Alert, *, by: Any) -> Alert:
    """Note that it is settled. If it still holds, the next look may open it again."""
    return _note(alert, "resolved", by, already="This alert is resolved already.")


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
    return Alert.objects.filter(cause=cause, resolved_at__isnull=True).first()


def _reopened(cause: str, since: Any) -> Alert | None:
    """Open the last alert of this cause again if it was resolved after `since`."""
    last = Alert.objects.filter(cause=cause, resolved_at__gte=since).order_by("-resolved_at").first()
    if last is None:
        return None
    try:
        with transaction.atomic():
            Alert.objects.filter(pk=last.pk).update(
                resolved_at=None, resolved_by=None, times=F("times") + 1, updated_at=timezone.now()
            )
    except IntegrityError:  # another process was first
        return _open(cause)
    return last


def _note(alert: Alert, what: str, by: Any, *, already: str) -> Alert:
    now = timezone.now()
    unsettled = Alert.objects.filter(pk=alert.pk, resolved_at__isnull=True)
    rows = unsettled.filter(**{f"{what}_at__isnull": True})
    if not rows.update(**{f"{what}_by": by, f"{what}_at": now}, updated_at=now):
        raise Conflict(already)
    alert.refresh_from_db()
    return alert
