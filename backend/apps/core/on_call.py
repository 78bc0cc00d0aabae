"""Plans the mails that tell whoever is on call of alerts; without it an alert would wait until somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core.bases import uuid7
from backend.apps.core.models import Alert, AlertNotice, AlertSeverity
from backend.apps.core.work import WorkState

SLOT = timedelta(minutes=2)  # what opens within it is one mail
FLAPS, FLAPPING = 3, timedelta(hours=1)  # what began more often is told once in that time
AGAIN = (timedelta(minutes=30), timedelta(hours=2), timedelta(days=1))  # after the first, second and any later telling
MAILED = (AlertSeverity.WARNING, AlertSeverity.CRITICAL)
NOBODY = "Nobody is on call: CARERELAY_ON_CALL names no address."


def addresses() -> Sequence[str]:
    """Return who is on call; nobody where the setting names none, which the console has to say."""
    return tuple(dict.fromkeys(settings.ON_CALL))


@transaction.atomic
def plan(alert: Alert) -> AlertNotice | None:
    """Let a mail tell of `alert`, written with it in one transaction; None: it is not told of by mail now.

    Who writes at the same moment waits for nobody: a notice is shared once it is committed, and who finds none writes
    its own. The first that is due takes over what the others have (`gather`).
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
    """Plan mails about critical alerts that nobody looks after, the less often the more were told; return how many.

    Safe to run twice: what a notice waits for is not planned, and of two that plan at once one finds nothing to tell.
    """
    if not addresses():
        return 0
    stand = Alert.objects.filter(resolved_at=None, acknowledged_at=None, severity=AlertSeverity.CRITICAL)
    now = timezone.now()
    return sum(bool(plan(row)) for row in stand.select_related("notice") if _is_due_again(row, now))


def gather(notice: AlertNotice) -> list[Alert]:
    """Take over what other notices that are due wait to tell, and return what is still to be told, the worst first.

    One of which some were told already takes over nothing: they would not hear of it.
    """
    if not notice.told:
        others = AlertNotice.work.filter(work_state=WorkState.WAITING, due_at__lte=Now(), told={}).exclude(pk=notice.pk)
        Alert.objects.filter(notice__in=others, resolved_at=None).update(notice=notice)
    rows = Alert.objects.filter(notice=notice, resolved_at=None, severity__in=MAILED).order_by("severity", "opened_at")
    return [row for row in rows if not (row.tellings and row.acknowledged_at)]


def note_told(alerts: Iterable[Alert]) -> None:
    told = {"told_at": timezone.now(), "tellings": F("tellings") + 1}
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(**told)


def _is_flapping(alert: Alert, now: datetime) -> bool:
    return alert.times > FLAPS and alert.told_at is not None and alert.told_at > now - FLAPPING


def _is_due_again(alert: Alert, now: datetime) -> bool:
    notice = alert.notice
    if notice and notice.work_state in (WorkState.WAITING, WorkState.RUNNING):
        return False
    since = alert.told_at or max(alert.opened_at, notice.updated_at if notice else alert.opened_at)
    return since + AGAIN[min(max(alert.tellings, 1), len(AGAIN)) - 1] <= now


def _hold(where: str, value: object) -> AlertNotice | None:
    """Return a notice that waits, which no worker takes before this transaction ends; other writers share it."""
    table = connection.ops.quote_name(AlertNotice._meta.db_table)
    sql = f"SELECT * FROM {table} WHERE {where} AND work_state = 'waiting' LIMIT 1 FOR KEY SHARE"  # noqa: S608  # ours
    return next(iter(AlertNotice.work.raw(sql, [value])), None)


def _write(slot: datetime) -> AlertNotice:
    key = f"alerts:{slot:%Y%m%dT%H%MZ}:{uuid7().hex}"
    return AlertNotice.work.enqueue(dedupe_key=key, due_at=slot + SLOT, opened_from=slot, opened_until=slot + SLOT)
