"""Where SendGrid reports what became of mails; without it a bounced reminder would count as sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from backend.apps.interop.webhook_door import Refused, clean, keep, storable, webhook
from backend.apps.messaging.models import ProviderEvent
from integrations.email.sendgrid_webhooks import EmailEvent, read, verify

SENDGRID = "sendgrid"
MOST_BYTES = 1024 * 1024
LONGEST_MAILBOX = 254
SIGNATURE, TIMESTAMP = "X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"


@webhook(SENDGRID, most_bytes=MOST_BYTES)
def events(request: HttpRequest, body: bytes) -> HttpResponse:
    """Keep a batch of events, each by itself: one that cannot be read costs no other."""
    signed = (request.headers.get(SIGNATURE), request.headers.get(TIMESTAMP))
    if not verify(body, *signed, settings.SENDGRID_WEBHOOK_KEYS, timezone.now()):
        raise Refused("not signed by SendGrid with a key of ours")
    keep([_row(event, item) for event, item in zip(read(body), _items(body), strict=True)])
    return HttpResponse(status=204)


def _items(body: bytes) -> list[Any]:
    """Return what `read` read, as it came."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return [None]
    return found if isinstance(found, list) else [found]


def _row(event: EmailEvent, item: Any) -> ProviderEvent:
    return ProviderEvent(
        provider=SENDGRID,
        kind="event",
        dedupe_key=clean(f"sendgrid:{event.event_id}", 160),
        attempt_id=clean(event.attempt_id, 60),
        message_id=clean(event.message_id, 128),
        provider_status=clean(event.kind, 30),
        error_code=clean(event.code, 40),
        payload=storable(item if isinstance(item, Mapping) else {"unreadable": item}),
        mailbox=clean(str(item.get("email") or ""), LONGEST_MAILBOX) if isinstance(item, Mapping) else "",
        occurred_at=event.at,
    )
