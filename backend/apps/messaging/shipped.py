"""Finds the words that come with the product; without it a kind of message nobody has written would not be sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backend.apps.messaging import shipped_en, shipped_es
from backend.apps.messaging.models import Channel, MessageKind
from backend.apps.messaging.phrases import Phrases


class Text(NamedTuple):
    subject: str
    body: str


TEXTS: Mapping[tuple[str, str, str], Text] = {
    **{(kind, Channel.SMS, "en"): Text("", body) for kind, body in shipped_en.SMS.items()},
    **{(kind, Channel.SMS, "es"): Text("", body) for kind, body in shipped_es.SMS.items()},
    **{(kind, Channel.EMAIL, "en"): Text(*words) for kind, words in shipped_en.EMAIL.items()},
    **{(kind, Channel.EMAIL, "es"): Text(*words) for kind, words in shipped_es.EMAIL.items()},
}
PHRASES: Mapping[str, Phrases] = {"en": shipped_en.PHRASES, "es": shipped_es.PHRASES}
LANGUAGES = tuple(PHRASES)


def find(kind: str, channel: str, language: str) -> Text | None:
    return TEXTS.get((kind, channel, language))


def phrases(language: str) -> Phrases:
    """Return the small words of a language, English where we have none."""
    return PHRASES.get(language.partition("-")[0].lower(), shipped_en.PHRASES)


def button(language: str, kind: str) -> str:
    return phrases(language).buttons[MessageKind(kind)]
