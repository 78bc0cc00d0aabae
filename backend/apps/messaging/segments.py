"""Counts what a text costs to send; without it one "smart" apostrophe would double a bill and nobody would see why."""

from __future__ import annotations

from dataclasses import dataclass

# The GSM 7 bit default alphabet, and what its extension table adds at the price of two units.
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("\f^{}\\[~]|€")
GSM = BASIC | EXTENDED
GSM_7 = "GSM-7"
UCS_2 = "UCS-2"
ALONE = {GSM_7: 160, UCS_2: 70}  # units of a text that is one message
JOINED = {GSM_7: 153, UCS_2: 67}  # units of each part of a longer one, beside its header


@dataclass(frozen=True, slots=True)
class Segments:
    """How a text travels. encoding: GSM-7 or UCS-2. units: septets or 16-bit units. segments: paid messages."""

    encoding: str
    units: int
    segments: int


def count(text: str) -> Segments:
    """Return the encoding of `text` and how many messages it is sent as.

    A character of two units is never cut in two, so a part may end a unit early.

    Source: 3GPP TS 23.038, 6.2.1 (alphabets); 3GPP TS 23.040, 9.2.3.24 (parts of a longer message).
    """
    encoding = GSM_7 if GSM.issuperset(text) else UCS_2
    widths = [_width(letter, encoding) for letter in text]
    units = sum(widths)
    if units <= ALONE[encoding]:
        return Segments(encoding, units, 1 if text else 0)
    return Segments(encoding, units, _parts(widths, JOINED[encoding]))


def not_gsm(text: str) -> list[str]:
    """Return the characters that make `text` UCS-2, each once and in order: what an author may want to replace."""
    return [] if GSM.issuperset(text) else list(dict.fromkeys(letter for letter in text if letter not in GSM))


def _width(letter: str, encoding: str) -> int:
    if encoding == GSM_7:
        return 2 if letter in EXTENDED else 1
    return 2 if ord(letter) > 0xFFFF else 1  # a surrogate pair


def _parts(widths: list[int], limit: int) -> int:
    parts, filled = 1, 0
    for width in widths:
        if filled + width > limit:
            parts, filled = parts + 1, 0
        filled += width
    return parts
