"""Reads MSH from a message that is still bytes, for the listener that must answer before anything is decoded."""

from __future__ import annotations

import re
from typing import NamedTuple

from integrations.hl7 import charsets

BOM = b"\xef\xbb\xbf"
LINE = rb"MSH[!-/:-@\[-`{-~][^\r\n]*"  # the field separator is a sign, not a letter
FIRST = re.compile(LINE)  # where it usually is, at the start
MSH = re.compile(rb"(?:\A|[\r\n])(" + LINE + rb")")
DEFAULT_SEPARATORS = b"^~\\&"
LAST = 18  # the last field that `Head` tells
MISSING = [""] * (LAST + 1)


class Head(NamedTuple):
    """What MSH says, in text; empty where it says nothing. `is_hl7` is False when there is no MSH at all.

    `fields` are MSH-1 to MSH-18 as bytes, MSH-1 at index 1, for an answer that repeats them exactly.
    Texts are whole fields without decoding of escapes; NUL becomes U+FFFD, because no database takes it.
    accept_ack, application_ack: MSH-15 and MSH-16, which answers the sender wants. charset: MSH-18 with repetitions.
    """

    is_hl7: bool
    sending_app: str = ""
    sending_facility: str = ""
    receiving_app: str = ""
    receiving_facility: str = ""
    sent_at: str = ""
    message_code: str = ""
    trigger: str = ""
    control_id: str = ""
    processing_id: str = ""
    version: str = ""
    accept_ack: str = ""
    fields: tuple[bytes, ...] = (b"MSH", b"|", DEFAULT_SEPARATORS)
    application_ack: str = ""
    charset: str = ""

    def __repr__(self) -> str:
        return f"Head({self.message_code}^{self.trigger})"

    def raw(self, number: int) -> bytes:
        """Return MSH-`number` as it was sent; empty when the sender stopped before it."""
        return self.fields[number] if number < len(self.fields) else b""


def read_head(raw: bytes) -> Head:
    """Return the head of the first message in `raw`, which may have a byte order mark or a batch header before it."""
    found = FIRST.match(raw)
    line = found[0] if found else _elsewhere(raw)
    if line is None:
        return Head(is_hl7=False)
    separator = line[3:4]
    parts = line[4:].split(separator, LAST)
    fields = (b"MSH", separator, parts[0] or DEFAULT_SEPARATORS, *parts[1 : LAST - 1])
    texts = _texts(line, separator)
    if len(texts) < LAST:
        texts += MISSING
    part = chr(fields[2][0])
    code, _, trigger = texts[8].partition(part)
    return Head(
        True,  # by position, in the order of the class: this runs for every message that arrives
        texts[2],
        texts[3],
        texts[4],
        texts[5],
        texts[6],
        code.strip(),
        trigger.partition(part)[0].strip(),
        texts[9],
        texts[10],
        texts[11].partition(part)[0].strip(),
        texts[14],
        fields,
        texts[15],
        texts[17],
    )


def _elsewhere(raw: bytes) -> bytes | None:
    """Return the MSH line that does not stand at the very start, or is written in two or four bytes a character."""
    if encoded := charsets.wide(raw):
        charset, start = encoded
        raw = raw[start:].decode(charset, "replace").encode()
    found = MSH.search(raw.removeprefix(BOM).lstrip())
    return found[1] if found else None


def _texts(line: bytes, separator: bytes) -> list[str]:
    """Return the fields as text, each in UTF-8 if it is that, MSH-n at index n - 1."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return [_text(value) for value in line.split(separator, LAST)]
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return [part.strip() for part in text.split(separator.decode(), LAST)]


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.replace("\0", "\ufffd").strip()
