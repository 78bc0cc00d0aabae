"""Calls a person when a laboratory used one control id for two messages; without it a flag would wait to be found."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.core import alerts
from backend.apps.laboratory.models import InboundMessage

KIND = "lab_conflict"
SENTENCE = (
    "{} used one control id for messages with different content. Each is filed by its content and marked as a conflict "
    "in the inbox: look at them, then resolve this."
)


def cause(message: InboundMessage) -> str:
    return f"{KIND}:{message.feed_id}"


def tell(messages: Iterable[InboundMessage]) -> None:
    """Open one alert for each feed of messages that are in conflict, the first time each of them is handled."""
    new = {cause(message): message for message in messages if message.conflict and message.filed_at is None}
    for name, message in new.items():
        sentence = SENTENCE.format(message.feed.name if message.feed else "A laboratory without a feed")
        alerts.open_once(name, kind=KIND, sentence=sentence, subject=message.feed)
