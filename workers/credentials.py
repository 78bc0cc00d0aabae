"""Looks for credentials that run out and tells people of them; without it the ladder would be a table nobody reads."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.credentials import digests, ladder, notices
from backend.apps.credentials.models import CredentialNotice
from backend.apps.credentials.models.alerts import NoticeStatus
from backend.apps.credentials.notices import Words
from integrations.email import Email
from integrations.errors import Permanent
from workers import gateways
from workers.beats import beating
from workers.celery_app import app
from workers.runner import NotNeeded, drain, told


@app.task(name="credentials.sweep")  # type: ignore[untyped-decorator]  # Celery has no types
def sweep() -> str:
    """Raise what is due; the second one finds nothing, and after days of downtime it tells one tier, not six."""
    with beating("credential tiers"):
        counts = ladder.sweep(timezone.now())
    return told(counts)


@app.task(name="credentials.notify")  # type: ignore[untyped-decorator]  # Celery has no types
def notify() -> str:
    return drain(CredentialNotice, send)


def send(notice: CredentialNotice) -> dict[str, Any]:
    """Send one e-mail about a credential or a day; return the fields to save with success.

    Never runs twice after it began to send: a lost answer is held for a person. What it says is true when it is sent.
    """
    row = CredentialNotice.objects.select_related(
        "recipient", *(f"alert__{path}" for path in digests.HOLDERS)
    ).get(pk=notice.pk)  # fmt: skip
    if reason := notices.why_not(row):
        raise NotNeeded(reason, status=NoticeStatus.NOT_NEEDED)
    words = _words(row)
    address = row.recipient.email
    if not address:
        raise Permanent("no e-mail address is on file for who is to be told", code="email:to")
    mail = Email(
        address, words.subject, words.text, f"{row.pk}.{row.lease_no}", headers={"Auto-Submitted": "auto-generated"}
    )
    external_id = gateways.email().send(mail)
    return {
        "status": NoticeStatus.SENT, "sent_at": timezone.now(), "external_id": external_id, "recipient_email": address,
    }  # fmt: skip


def _words(row: CredentialNotice) -> Words:
    clinic, now = Clinic.current(), timezone.now()
    today = timezone.localdate(now, clinic.zone)
    if row.alert is not None:
        return notices.write(row, row.alert, clinic=clinic, today=today)
    words = digests.write(clinic=clinic, today=today, now=now)
    if words is None:
        raise NotNeeded("nothing is due any more", status=NoticeStatus.NOT_NEEDED)
    return words
