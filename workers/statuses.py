"""Asks the provider for texts it has said nothing final about; without it a lost callback would leave them "sent"."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from backend.apps.core import dispatch
from backend.apps.messaging import outgoing
from backend.apps.messaging.models import Channel, MessageStatus, OutgoingMessage, ProviderEvent
from integrations.errors import Permanent, Transient, Unknown
from integrations.sms import MessageStatus as ProviderStatus
from workers import gateways
from workers.beats import beating
from workers.celery_app import app

ASKED = "twilio"  # mail providers have events only
SILENT, FORGOTTEN = timedelta(minutes=15), timedelta(days=2)
LATE = timedelta(days=7)  # at most between the planned time and the send; narrows the search to an index
AT_ONCE = 200
BUDGET_S = 60.0


@app.task(name="reminders.poll_statuses")  # type: ignore[untyped-decorator]  # Celery has no types
def poll() -> str:
    """Ask about texts without a final status, those not asked about for the longest time first.

    What is said becomes an event as a webhook would have left it, once per word. Two of these at once ask about
    different texts.
    """
    asked, until = 0, time.monotonic() + BUDGET_S
    with beating("poll provider statuses"):
        rows = candidates() if _can_ask() else []
        for row in rows:
            if time.monotonic() > until:
                break
            if claim(row):
                if not ask(row):
                    break
                asked += 1
        if asked:
            dispatch.send(ProviderEvent.task_name)
    return f"asked for {asked} of {len(rows)}"


def candidates() -> list[OutgoingMessage]:
    """Return texts of every kind to ask about; `updated_at` tells when they were last asked about, or changed."""
    rows = [row for model in outgoing.kinds() for row in _silent(model)]
    return sorted(rows, key=lambda row: row.updated_at)[:AT_ONCE]


def _silent(model: outgoing.Kind) -> Iterable[OutgoingMessage]:
    silent = model.all_objects.filter(
        status=MessageStatus.SENT,
        provider=ASKED,
        digest_of__isnull=True,
        sent_at__lt=Now() - SILENT,
        sent_at__gt=Now() - FORGOTTEN,
        scheduled_send_time__gt=Now() - FORGOTTEN - LATE,
        **{model.channel_column: Channel.SMS},
    )
    return silent.exclude(external_id="").order_by("updated_at", "pk")[:AT_ONCE]


def claim(row: OutgoingMessage) -> bool:
    """Note that it is asked about now; return False when it has changed or another asks."""
    unchanged = type(row).all_objects.filter(pk=row.pk, updated_at=row.updated_at, status=MessageStatus.SENT)
    return bool(unchanged.update(updated_at=Now()))


def ask(row: OutgoingMessage) -> bool:
    """Ask about one text and keep what is said; return False when the provider cannot be asked at all."""
    try:
        said = gateways.sms().status(row.external_id)
    except (Transient, Unknown):
        return False
    except Permanent:  # it knows no such text: what it said when it took it stands
        return True
    if said.provider_status != row.provider_status:
        ProviderEvent.objects.bulk_create([_event(row, said)], ignore_conflicts=True)
    return True


def _can_ask() -> bool:
    return gateways.provider(Channel.SMS) == ASKED


def _event(row: OutgoingMessage, said: ProviderStatus) -> ProviderEvent:
    word, code = said.provider_status[:30], "" if said.error_code is None else str(said.error_code)
    names: dict[str, Any] = {"message_id": row.external_id, "provider_status": word, "error_code": code}
    return ProviderEvent(
        provider=ASKED, kind="status", dedupe_key=f"poll:{ASKED}:{row.external_id}:{word}:{code}"[:160], **names
    )
