"""Sends the pages about critical results and lets the next one answer in time; without it a page would stay a row."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.laboratory import critical, paging
from backend.apps.laboratory.models import CriticalPage
from backend.apps.laboratory.models.critical import Channel, PageStatus, PageSubject
from integrations.email import Email
from integrations.errors import Permanent, Unknown
from integrations.sms import Sms
from workers import gateways
from workers.beats import beating
from workers.celery_app import app
from workers.runner import NotNeeded, drain

ASKS = {
    PageSubject.CRITICAL: "A critical laboratory result needs your acknowledgement",
    PageSubject.CORRECTED: "A critical laboratory result you were told of was corrected",
}


@app.task(name="critical_results.page")  # type: ignore[untyped-decorator]  # Celery has no types
def page_due() -> str:
    return drain(CriticalPage, send)


@app.task(name="critical_results.escalate")  # type: ignore[untyped-decorator]  # Celery has no types
def escalate() -> str:
    """Let the next tier answer for what nobody has acknowledged in time; two of these at once are harmless."""
    with beating("critical results unacknowledged"):
        moved = critical.escalate_due()
    return f"escalated {moved}"


def send(page: CriticalPage) -> dict[str, Any]:
    """Send one page; return the fields to save with success.

    Never runs twice after it began to send: a page whose worker died or whose answer was lost is held for a person, and
    the escalation goes on all the same. A number no provider takes is answered with an e-mail.
    """
    row = CriticalPage.objects.select_related("critical_result", "recipient").get(pk=page.pk)
    if reason := paging.why_not(row):
        raise NotNeeded(reason, status=PageStatus.NOT_NEEDED)
    try:
        external_id = _send(row, attempt_id=f"{page.pk}.{page.lease_no}")
    except Permanent:
        paging.log_page(row, "refused")
        paging.instead(row)
        raise
    except Unknown:
        paging.log_page(row, "the answer of the provider was lost")
        raise
    paging.log_page(row, "sent")
    return {"status": PageStatus.SENT, "sent_at": timezone.now(), "external_id": external_id}


def _send(row: CriticalPage, *, attempt_id: str) -> str:
    clinic, asks = Clinic.current(), ASKS[PageSubject(row.subject)]
    link = f"{settings.PUBLIC_BASE_URL}/console/labs/critical/{row.critical_result_id}/"
    if row.channel == Channel.SMS:
        return gateways.sms().send(Sms(row.recipient.phone, f"{clinic.name}: {asks}. {link}", attempt_id))
    mail = Email(row.recipient.email, f"{clinic.name}: {asks.lower()}", f"{asks}.\n\n{link}\n", attempt_id)
    return gateways.email().send(mail)
