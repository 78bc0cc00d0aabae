"""Makes what messages need for tests; without it each test would spell out a text that may be sent."""

from __future__ import annotations

from itertools import count
from typing import Any

from backend.apps.messaging.models import MessageTemplate

_numbers = count(10000)  # of languages: a kind and channel has one text in each


def make_message_template(**over: Any) -> MessageTemplate:
    """Save a text that may be sent, past the checks: a text message in a language of its own."""
    fields = {
        "kind": "reminder",
        "channel": "sms",
        "language": f"en-{next(_numbers)}",
        "body": "{clinic}: we expect you {when}.[ Call {phone}.] Reply STOP to opt out.",
        **over,
    }
    return MessageTemplate.objects.create(**fields)
