"""Decodes a message by what MSH-18 says; without it names with accents would be lost or the message refused.

Source: HL7 v2.7.1, 2.14.9.18 (MSH-18) and table 0211; ISO/IEC 2022 and ISO-2022-JP (RFC 1468) for escape sequences.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

ISO_8859 = re.compile(r"(?:ISO[ -]?)?8859[/-]([0-9]{1,2})")
NAMES = {  # table 0211, and what senders write instead
    "": "utf-8",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "ISO IR14": "shift_jis",  # JIS X 0201: what shift_jis writes in one byte
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
}
ISO_2022 = ("iso2022_jp", "iso2022_jp_1")
SHIFTING = frozenset({*ISO_2022, "shift_jis", "euc_kr"})  # used by way of ISO 2022 sequences
ONE_TO_ONE = frozenset({"utf-8", "ascii", "latin-1"})  # decoding them strictly can lose nothing
MOST_SHIFTS = 20_000  # in one message; a hostile one is read without them
SHIFT_OUT = b"\x0e"
OPENINGS = {
    b"\x1b$B": "iso2022_jp",
    b"\x1b$@": "iso2022_jp",
    b"\x1b$(D": "iso2022_jp_1",
    b"\x1b$A": "iso2022_jp_2",
    b"\x1b$(C": "iso2022_jp_2",
    b"\x1b(I": "iso2022_jp_ext",
}
SHIFTED = re.compile(
    rb"(\x1b\$(?:[@AB]|\([CD])|\x1b\(I|\x0e)([^\r\n\x1b\x0e\x0f]*)(\x1b\([BJ]|\x0f|(?=[\r\n\x1b\x0e]|\Z))"
)
WRAPPED = re.compile(rb"\x1b\$?\(?[@-Z]|\Z")
WIDE = (  # a byte order mark, or MSH in two or four bytes a character
    (b"\xff\xfe\0\0", "utf-32-le", 4),
    (b"\0\0\xfe\xff", "utf-32-be", 4),
    (b"\xff\xfe", "utf-16-le", 2),
    (b"\xfe\xff", "utf-16-be", 2),
    (b"M\0\0\0S\0\0\0", "utf-32-le", 0),
    (b"\0\0\0M\0\0\0S", "utf-32-be", 0),
    (b"M\0S\0H\0", "utf-16-le", 0),
    (b"\0M\0S\0H", "utf-16-be", 0),
)


class Shift(NamedTuple):
    """Characters from `start` to `end` of the text that came in another set, between two sequences."""

    start: int
    end: int
    opening: bytes
    closing: bytes
    charset: str


class Decoded(NamedTuple):
    """`encode` gives the same bytes again. `note` tells what was not as declared."""

    text: str
    charset: str
    note: str = ""
    shifts: tuple[Shift, ...] = ()


def decode(raw: bytes, declared: Sequence[str]) -> Decoded:
    """Return `raw` in the first charset of `declared`, the repetitions of MSH-18, else in one that fits; never fails.

    The other repetitions tell which sets may come by ISO 2022 escape sequences, or by shift-out and shift-in.
    """
    charset = codec(declared[0] if declared else "")
    note = "" if charset else "MSH-18 names no charset that is known"
    if charset in ISO_2022 and (text := _exact(raw, charset)) is not None:
        return Decoded(text, charset)
    if (b"\x1b" in raw or SHIFT_OUT in raw) and (found := _shifted(raw, [codec(name) for name in declared])):
        return found
    if charset and (text := _exact(raw, charset)) is not None:
        return Decoded(text, charset, note)
    for fallback in ("utf-8", "cp1252"):
        if (text := _exact(raw, fallback)) is not None:
            return Decoded(text, fallback, note or f"not as MSH-18 declares; read as {fallback}")
    return Decoded(raw.decode("latin-1"), "latin-1", note or "not as MSH-18 declares; read as latin-1")


def encode(text: str, charset: str, shifts: Sequence[Shift] = ()) -> bytes:
    """Return the bytes that `decode` read."""
    written, done = [], 0
    for shift in shifts:
        written.append(text[done : shift.start].encode(charset))
        written += [shift.opening, _narrowed(text[shift.start : shift.end], shift), shift.closing]
        done = shift.end
    return b"".join([*written, text[done:].encode(charset)]) if shifts else text.encode(charset)


def wide(raw: bytes) -> tuple[str, int] | None:
    """Return the charset of a message in two or four bytes a character, and where it begins after its mark."""
    return next(((charset, mark) for start, charset, mark in WIDE if raw.startswith(start)), None)


@functools.lru_cache(maxsize=64)
def codec(declared: str) -> str | None:
    """Return Python's name of a charset in MSH-18; None when it is not known."""
    name = " ".join(declared.split()).upper()
    if found := ISO_8859.fullmatch(name):
        return f"iso8859-{int(found[1])}" if 1 <= int(found[1]) <= 16 and int(found[1]) != 12 else None
    return NAMES.get(name)


def _exact(raw: bytes, charset: str) -> str | None:
    """Decode `raw` only if nothing is lost by it."""
    try:
        text = raw.decode(charset)
        return text if charset in ONE_TO_ONE or text.encode(charset) == raw else None
    except UnicodeError:
        return None


def _shifted(raw: bytes, charsets: Sequence[str | None]) -> Decoded | None:
    """Decode a message with ISO 2022 sequences, if MSH-18 names a set that is used so and nothing is lost by it."""
    if not SHIFTING.intersection(charsets):
        return None
    base = "ascii" if charsets[0] in (None, *ISO_2022) else str(charsets[0])
    pieces: list[str] = []
    shifts: list[Shift] = []
    length = done = 0
    try:
        for found in SHIFTED.finditer(raw):
            if len(shifts) == MOST_SHIFTS:
                return None
            before, (opening, body, closing) = raw[done : found.start()].decode(base), found.groups()
            charset = OPENINGS.get(opening) or ("euc_kr" if "euc_kr" in charsets else "shift_jis")
            shifted = _widened(body, opening, charset)
            length += len(before)
            shifts.append(Shift(length, length + len(shifted), opening, closing, charset))
            length, done = length + len(shifted), found.end()
            pieces += [before, shifted]
        text = "".join([*pieces, raw[done:].decode(base)])
        return Decoded(text, base, "", tuple(shifts)) if encode(text, base, shifts) == raw else None
    except UnicodeError:
        return None


def _widened(body: bytes, opening: bytes, charset: str) -> str:
    if opening == SHIFT_OUT:
        return bytes(byte | 0x80 if byte > 0x20 else byte for byte in body).decode(charset)
    return (opening + body).decode(charset)


def _narrowed(text: str, shift: Shift) -> bytes:
    written = text.encode(shift.charset)
    if shift.opening == SHIFT_OUT:
        return bytes(byte & 0x7F for byte in written)
    return WRAPPED.sub(b"", written)
