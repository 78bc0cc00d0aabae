"""Makes and finds the secret addresses patients get; without it links would be guessable, or work for ever."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.utils import timezone

from backend.apps.messaging.models import OutgoingMessage, PatientLink

TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")  # 128 bits


class Wanted(NamedTuple):
    """One link a message carries; expires_at: the end of the visit, say."""

    message: OutgoingMessage
    purpose: str
    subject_id: Any
    expires_at: datetime


def token(message_id: Any, purpose: str) -> str:
    """Return the token of one message and purpose: always the same, so that a message sent again says the same."""
    key = hashlib.sha256(f"patient-link {settings.SECRET_KEY}".encode()).digest()
    digest = hmac.new(key, f"{message_id} {purpose}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def url(message_id: Any, purpose: str) -> str:
    """Return the address to put into a message."""
    return f"{settings.PUBLIC_BASE_URL}/a/{token(message_id, purpose)}"


def keep(wanted: Iterable[Wanted]) -> None:
    """Write down links before the messages that carry them leave; safe to repeat."""
    rows = [
        PatientLink(
            token_sha256=digest(token(one.message.pk, one.purpose)),
            purpose=one.purpose,
            patient=one.message.patient,
            subject_id=one.subject_id,
            channel=one.message.channel,
            message_id=one.message.pk,
            expires_at=one.expires_at,
        )
        for one in wanted
    ]
    PatientLink.objects.bulk_create(rows, ignore_conflicts=True)


def find(text: str) -> PatientLink | None:
    """Return the link whose token this is, if there is one and it has not expired."""
    if not TOKEN.fullmatch(text):
        return None
    found = PatientLink.objects.select_related("patient").filter(token_sha256=digest(text)).first()
    return found if found and found.expires_at > timezone.now() else None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
