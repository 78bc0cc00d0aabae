"""Reads the first segment of a message from its bytes, for the listener that must answer before anything is decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

BOM = b"\xef\xbb\xbf"
MSH = re.compile(rb"(?:\A|[\r\n])(MSH[!-/:-@\[-`{-~][^\r\n]*)")  # the field separator is a sign, not a letter
DEFAULT_SEPARATORS = b"^~\\&"


@dataclass(frozen=True, slots=True)
class Head:
    """What MSH says, in text; empty where it says nothing. `is_hl7` is False when there is no MSH at all.

    `fields` are the same values as bytes, MSH-1 at index 1, for an answer that repeats them exactly.
    Texts are whole fields without decoding of escapes; NUL becomes U+FFFD, because no database takes it.
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
    fields: tuple[bytes, ...] = field(default=(b"MSH", b"|", DEFAULT_SEPARATORS), repr=False)

    def raw(self, number: int) -> bytes:
        """Return MSH-`number` as it was sent; empty when the sender stopped before it."""
        return self.fields[number] if number < len(self.fields) else b""


def read_head(raw: bytes) -> Head:
    """Return the head of the first message in `raw`, which may have a byte order mark or a batch header before it."""
    found = MSH.search(raw.removeprefix(BOM).lstrip())
    if not found:
        return Head(is_hl7=False)
    fields = _fields(found[1])
    part = fields[2][:1] or DEFAULT_SEPARATORS[:1]
    texts = [_text(value) for value in fields[:16]] + [""] * 16
    kind = [_text(value) for value in (fields + [b""] * 10)[9].split(part)] + [""]
    return Head(
        is_hl7=True,
        sending_app=texts[3],
        sending_facility=texts[4],
        receiving_app=texts[5],
        receiving_facility=texts[6],
        sent_at=texts[7],
        message_code=kind[0],
        trigger=kind[1],
        control_id=texts[10],
        processing_id=texts[11],
        version=_text((fields + [b""] * 13)[12].split(part)[0]),
        accept_ack=texts[15],
        fields=tuple(fields),
    )


def _fields(line: bytes) -> list[bytes]:
    """Split MSH so that MSH-n is at index n."""
    separator = line[3:4]
    parts = line[4:].split(separator)
    return [b"MSH", separator, parts[0] or DEFAULT_SEPARATORS, *parts[1:]]


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.replace("\0", "\ufffd").strip()
