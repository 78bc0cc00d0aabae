"""Tells SendGrid's own events from everybody else's and reads them; without it anybody could report a bounce."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from sendgrid.helpers.eventwebhook import EventWebhook

from integrations.email import sendgrid_events

SECONDS = re.compile(r"[0-9]{10}")
OLDEST = timedelta(hours=26)  # it tries again for 24 hours, and does not say whether it signs anew
AHEAD = timedelta(minutes=10)
NOT_SENDGRIDS = (TypeError, ValueError, AttributeError, UnsupportedAlgorithm)  # what the SDK raises over a forged call
UNREADABLE = "unreadable"


def verify(
    body: bytes, signature: str | None, timestamp: str | None, public_keys: Sequence[str], now: datetime
) -> bool:
    """Tell whether SendGrid signed this very `body` at `timestamp`, not long ago, with one of our keys.

    public_keys: base64 as its settings page shows them; two while they are exchanged. now: aware.

    Nothing separates the time from the body in what is signed, so each must look like itself: ten digits, an array.

    Source: SendGrid, Event Webhook Security Features.
    """
    if not signature or not timestamp or not SECONDS.fullmatch(timestamp) or not body.startswith(b"["):
        return False
    if not now - OLDEST <= datetime.fromtimestamp(int(timestamp), UTC) <= now + AHEAD:
        return False
    return any(_is_signed(body, signature, timestamp, key) for key in public_keys if key)


def _is_signed(body: bytes, signature: str, timestamp: str, key: str) -> bool:
    try:
        return bool(EventWebhook(key).verify_signature(body.decode(), signature, timestamp))
    except NOT_SENDGRIDS:
        return False


@dataclass(frozen=True, slots=True)
class EmailEvent:
    """One thing that happened to a mail.

    kind: SendGrid's word, or "unreadable"; what it means, `sendgrid_events` says. event_id: unique, so a repeat is
    known; of our own making when SendGrid gave none. message_id: as `send` returned it. code: why it did not arrive.
    """

    kind: str
    event_id: str
    message_id: str = ""
    attempt_id: str = ""
    at: datetime | None = None
    code: str = ""


def read(body: bytes) -> list[EmailEvent]:
    """Return the events of one call in order; one that cannot be read is "unreadable" and costs no other."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return [EmailEvent(UNREADABLE, _own_id(body))]
    return [_event(item) for item in (found if isinstance(found, list) else [found])]


def _event(item: Any) -> EmailEvent:
    own_id = _own_id(json.dumps(item, sort_keys=True).encode())
    if not isinstance(item, Mapping) or not isinstance(item.get("event"), str):
        return EmailEvent(UNREADABLE, own_id)
    kind = item["event"][:30]
    error = sendgrid_events.error_for(
        kind, bounce_type=_text(item, "type"), reason=_text(item, "reason"), enhanced=_text(item, "status")
    )
    return EmailEvent(
        kind=kind,
        event_id=_text(item, "sg_event_id")[:100] or own_id,
        message_id=sendgrid_events.short_id(_text(item, "sg_message_id"))[:100],
        attempt_id=_text(item, "attempt_id")[:100],
        at=_moment(item.get("timestamp")),
        code=error.code if error else "",
    )


def _own_id(content: bytes) -> str:
    return "own-" + hashlib.sha256(content).hexdigest()


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, int) or not 0 < value < 10**11:
        return None
    return datetime.fromtimestamp(value, UTC)
