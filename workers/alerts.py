"""Mails open alerts to whoever is on call; without it a notice would stay a row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from backend.apps.core import on_call
from backend.apps.core.models import Alert, AlertNotice, Clinic
from backend.apps.core.on_call import SENT
from backend.apps.core.work import WorkState
from integrations.email import Email
from integrations.errors import Permanent, Transient, Unknown
from workers import gateways
from workers.beats import beating
from workers.celery_app import app
from workers.runner import BUDGET_S, Again, NotNeeded, drain

MOST = 20  # sentences of one mail


@app.task(name="alerts.notify")  # type: ignore[untyped-decorator]  # Celery has no types
def notify_due() -> str:
    """One at a time: the first takes over what the others would tell."""
    return drain(AlertNotice, notify, batch=1)


@app.task(name="alerts.remind")  # type: ignore[untyped-decorator]  # Celery has no types
def remind() -> str:
    """Plan mails about what nobody was told of or looks after; the second run at once plans none."""
    with beating("alerts unacknowledged"):
        planned = on_call.plan_again()
    return f"planned {planned}"


def notify(notice: AlertNotice) -> dict[str, Any]:
    """Mail what is still open to each address of those on call; return the fields to save with success.

    An address that was written to, or may have been, is never written to twice: how each mail ended is noted before the
    next one leaves, and a notice whose worker died in the middle is held for a person. Where nobody was told then,
    `remind` plans another, for a second mail does less harm than none. What fails here opens no alert.
    """
    addresses = on_call.addresses()
    if not addresses:
        raise NotNeeded(on_call.NOBODY)
    read_at = timezone.now()
    alerts = on_call.gather(notice)
    if not alerts:
        raise NotNeeded("All it would tell of is settled.")
    until, later = time.monotonic() + BUDGET_S, None
    for address in _untold(notice, addresses):
        later = _tell(notice, alerts, read_at, address, addresses.index(address)) or later
        if time.monotonic() > until:
            break
    if later is not None:
        raise later
    if _untold(notice, addresses):
        raise Again
    return _judged(notice, addresses)


def _untold(notice: AlertNotice, addresses: Sequence[str]) -> list[str]:
    """Return who is still to be written to, each try beginning with another, so that a slow one keeps no other."""
    left = [address for address in addresses if address not in notice.told]
    first = (notice.lease_no - 1) % len(left) if left else 0
    return left[first:] + left[:first]


def _tell(
    notice: AlertNotice, alerts: Sequence[Alert], read_at: datetime, address: str, number: int
) -> Transient | None:
    """Send one mail about alerts as they were `read_at` and note how it ended; return the error by which to try again.

    number: of the address among those on call.
    """
    attempt_id = f"{notice.pk}.{notice.lease_no}.{number}"
    try:
        gateways.email().send(_mail(alerts, address, attempt_id))
        ended = SENT
    except Transient as error:
        return error
    except (Permanent, Unknown) as error:
        ended = error.sort
    if ended == SENT and notice.sent_at is None:
        on_call.note_told(alerts, read_at)
        notice.sent_at = timezone.now()
    notice.told[address] = ended
    ours = AlertNotice.work.filter(pk=notice.pk, lease_no=notice.lease_no, work_state=WorkState.RUNNING)
    if not ours.update(told=notice.told, sent_at=notice.sent_at, recipients=_sent(notice)):
        raise Again  # somebody else is at it
    return None


def _judged(notice: AlertNotice, addresses: Sequence[str]) -> dict[str, Any]:
    """Return what to save when at least one address was told and none is in doubt."""
    ends = [notice.told[address] for address in addresses]
    if Unknown.sort in ends:
        raise Unknown("the answer about a mail to those on call was lost", code="alerts:unanswered")
    if SENT not in ends:
        raise Permanent("no address of those on call could be written to", code="alerts:refused")
    return {"recipients": _sent(notice)}


def _sent(notice: AlertNotice) -> int:
    return sum(ended == SENT for ended in notice.told.values())


def _mail(alerts: Sequence[Alert], address: str, attempt_id: str) -> Email:
    clinic = Clinic.current()
    worst = "critical: " if alerts[0].severity == Alert.Severity.CRITICAL else ""
    what = "1 alert" if len(alerts) == 1 else f"{len(alerts)} alerts"
    lines = [f"{row.get_severity_display()}: {row.sentence}" for row in alerts[:MOST]]
    if len(alerts) > MOST:
        lines.append(f"And {len(alerts) - MOST} more.")
    text = "\n\n".join([*lines, f"{settings.PUBLIC_BASE_URL}/console/alerts/"]) + "\n"
    headers = {"Auto-Submitted": "auto-generated"}
    return Email(address, f"{clinic.name}: {worst}{what}", text, attempt_id, headers=headers)
