"""Plans the mails that tell whoever is on call of alerts; without it an alert would wait until somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core.bases import uuid7
from backend.apps.core.models import Alert, AlertNotice, AlertSeverity
from backend.apps.core.work import AT_REST, WorkState

SLOT = timedelta(minutes=2)  # what opens within it is one mail
FLAPS, FLAPPING = 3, timedelta(hours=1)  # what began more often in a day is told once in that time
DAY = timedelta(days=1)
AGAIN = (timedelta(minutes=30), timedelta(hours=2), timedelta(days=1))  # after the first, second and any later telling
MAILED = (AlertSeverity.WARNING, AlertSeverity.CRITICAL)
LOOKED_AFTER = Q(acknowledged_at__isnull=False) & (  # since it began, began again or became worse
    Q(news_at=None) | Q(acknowledged_at__gte=F("news_at"))
)
TOLD = Q(told_at__isnull=False) & (Q(news_at=None) | Q(told_at__gte=F("news_at")))  # since then, too
SENT = "sent"  # how a mail ended, in `AlertNotice.told`
NOBODY = "Nobody is on call: CARERELAY_ON_CALL names no address."


def addresses() -> Sequence[str]:
    """Return who is on call; nobody where the setting names none, which the console has to say."""
    return tuple(dict.fromkeys(settings.ON_CALL))


def marked(rows: QuerySet[Alert]) -> QuerySet[Any]:
    """Return `rows`, each with `looked_after`: whether somebody does since it began, began again or became worse."""
    return rows.annotate(looked_after=ExpressionWrapper(LOOKED_AFTER, output_field=BooleanField()))


@transaction.atomic
def plan(alert: Alert) -> AlertNotice | None:
    """Let a mail tell of `alert`, written with it in one transaction; None: it is not told of by mail now.

    Who writes at the same moment waits for nobody: a notice is shared once it is committed, while nobody was told by
    it, and who finds none writes its own. The first that is due takes over what the others have (`gather`).
    """
    now = timezone.now()
    if alert.severity not in MAILED or _is_flapping(alert, now):
        return None
    if alert.notice_id and (waiting := _hold("id = %s", alert.notice_id)):
        return waiting
    slot = now.replace(minute=now.minute // 2 * 2, second=0, microsecond=0)
    notice = _hold("due_at = %s", slot + SLOT) or _write(slot)
    Alert.objects.filter(pk=alert.pk).update(notice=notice)
    return notice


def plan_again() -> int:
    """Plan mails about what nobody was told of and what is critical, while nobody looks after it; return how many.

    The more were told of it, the less often. Safe to run twice: what a notice waits for is not planned, and of two that
    plan at once one finds nothing to tell.
    """
    if not addresses():
        return 0
    now = timezone.now()
    stand = Alert.objects.filter(~LOOKED_AFTER, resolved_at=None, severity__in=MAILED).select_related("notice")
    return sum(bool(plan(row)) for row in stand if _is_due_again(row, now))


@transaction.atomic
def gather(notice: AlertNotice) -> list[Alert]:
    """Take over what other notices that are due wait to tell, and return what is still to be told, the worst first.

    One of which some were told already takes over nothing: they would not hear of it. A notice that somebody is about
    to lease, or writes to, keeps what it has, so that no alert is in two mails; an alert that somebody writes stays
    with its notice. Rows are locked as `plan` does it, an alert before its notice, and nobody is waited for. Left out
    is what somebody looks after, but not while nobody was told of its last news: it may have been seen before that.
    """
    if not notice.told:
        due = AlertNotice.work.filter(work_state=WorkState.WAITING, due_at__lte=Now(), told={}).exclude(pk=notice.pk)
        theirs = Alert.objects.filter(notice__in=due, resolved_at=None).order_by("pk")
        moving = dict(theirs.select_for_update(skip_locked=True, no_key=True).values_list("pk", "notice_id"))
        free = due.filter(pk__in=set(moving.values())).select_for_update(skip_locked=True)
        others = set(free.values_list("pk", flat=True))
        Alert.objects.filter(pk__in=[key for key, held_by in moving.items() if held_by in others]).update(notice=notice)
    rows = Alert.objects.filter(notice=notice, resolved_at=None, severity__in=MAILED)
    return list(rows.exclude(LOOKED_AFTER & TOLD).order_by("severity", "opened_at"))


@transaction.atomic
def send_again(*keys: Any) -> int:
    """Put notices back in line as a person decided; return how many. Who was told for certain is not told again."""
    stuck = AlertNotice.work.filter(pk__in=keys, work_state__in=AT_REST)
    for notice in stuck.select_for_update(no_key=True):
        told = {address: ended for address, ended in notice.told.items() if ended == SENT}
        AlertNotice.work.filter(pk=notice.pk).update(told=told)
    return AlertNotice.work.back_in_line(*keys)


def note_told(alerts: Iterable[Alert], at: datetime) -> None:
    """Note that a mail told of `alerts` as they were `at`; what became worse while it left is told by the next."""
    told = {"told_at": at, "tellings": F("tellings") + 1}
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(**told)


def _is_flapping(alert: Alert, now: datetime) -> bool:
    """Whether it began more than a few times of late, as one row or as several, and was told of within the hour."""
    rows = Alert.objects.filter(Q(pk=alert.pk) | Q(resolved_at__gte=now - DAY), cause=alert.cause)
    found = rows.aggregate(times=Sum("times"), told_at=Max("told_at"))
    return found["times"] > FLAPS and found["told_at"] is not None and found["told_at"] > now - FLAPPING


def _is_due_again(alert: Alert, now: datetime) -> bool:
    notice, began = alert.notice, alert.news_at or alert.opened_at
    if notice and notice.work_state in (WorkState.WAITING, WorkState.RUNNING):
        return False
    if alert.told_at is None or alert.told_at < began:
        since = max(began, notice.updated_at) if notice else began
        return since <= now - (AGAIN[0] if notice is None or notice.told else timedelta(0))
    again = AGAIN[min(max(alert.tellings, 1), len(AGAIN)) - 1]
    return alert.severity == AlertSeverity.CRITICAL and alert.told_at <= now - again


def _hold(where: str, value: object) -> AlertNotice | None:
    """Return a notice by which nobody was told and that no worker takes before we commit; other writers share it."""
    table = connection.ops.quote_name(AlertNotice._meta.db_table)
    waits = "work_state = 'waiting' AND told = '{}'"
    sql = f"SELECT * FROM {table} WHERE {where} AND {waits} LIMIT 1 FOR KEY SHARE"  # noqa: S608  # our own names only
    return next(iter(AlertNotice.work.raw(sql, [value])), None)


def _write(slot: datetime) -> AlertNotice:
    key = f"alerts:{slot:%Y%m%dT%H%MZ}:{uuid7().hex}"
    return AlertNotice.work.enqueue(dedupe_key=key, due_at=slot + SLOT, opened_from=slot, opened_until=slot + SLOT)
