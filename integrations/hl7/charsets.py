"""Decodes a message by what MSH-18 says; without it names with accents would be lost or the message refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

ISO_8859 = re.compile(r"(?:ISO[ -]?)?8859[/-]([0-9]{1,2})")
NAMES = {  # HL7 v2.7.1, table 0211, and what senders write instead
    "": "utf-8",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "ISO IR14": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """`text.encode(charset)` gives the same bytes again. `note` tells what was not as declared."""

    text: str
    charset: str
    note: str = ""


def decode(raw: bytes, declared: str) -> Decoded:
    """Return `raw` in the charset `declared` in MSH-18, else in the first that fits; never fails."""
    charset = codec(declared)
    note = "" if charset else "MSH-18 names no charset that is known"
    if charset and (text := _exact(raw, charset)) is not None:
        return Decoded(text, charset)
    for fallback in ("utf-8", "cp1252"):
        if (text := _exact(raw, fallback)) is not None:
            return Decoded(text, fallback, note or f"not as MSH-18 declares; read as {fallback}")
    return Decoded(raw.decode("latin-1"), "latin-1", note or "not as MSH-18 declares; read as latin-1")


def codec(declared: str) -> str | None:
    """Return Python's name of a charset in MSH-18; None when it is not known."""
    name = " ".join(declared.split()).upper()
    if found := ISO_8859.fullmatch(name):
        return f"iso8859-{found[1]}" if 1 <= int(found[1]) <= 16 and found[1] != "12" else None
    return NAMES.get(name)


def _exact(raw: bytes, charset: str) -> str | None:
    """Decode `raw` only if nothing is lost by it."""
    try:
        text = raw.decode(charset)
        return text if text.encode(charset) == raw else None
    except UnicodeError:
        return None
