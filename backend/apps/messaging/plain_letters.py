"""Writes values with letters a short text holds 160 of; without it one í in a clinic's name would double the price."""

from __future__ import annotations

import unicodedata

from backend.apps.messaging.segments import not_gsm

ALIKE = str.maketrans(
    {0x2019: "'", 0x2018: "'", 0x201C: '"', 0x201D: '"', 0x2013: "-", 0x2014: "-", 0x2026: "...", 0xA0: " ", 0x60: "'"}
)  # quotation marks, dashes and dots of typesetting, the hard space


def plain(text: str) -> str:
    """Return `text` with á as a and straight quotation marks; as it was where that does not help (an emoji)."""
    text = unicodedata.normalize("NFC", text)
    costly = not_gsm(text)
    folded = text.translate({**{ord(letter): _without_accent(letter) for letter in costly}, **ALIKE})
    return text if not_gsm(folded) else folded


def _without_accent(letter: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
