"""Writes acknowledgements as bytes; without it a laboratory repeats its message for ever.

Source: HL7 v2.5.1, chapter 2, sections 2.9 (acknowledgements) and 2.15 (MSA, ERR).
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import Enum

from integrations.hl7.head import DEFAULT_SEPARATORS, Head

ENHANCED = frozenset({"AL", "ER", "SU"})  # MSH-15: the sender wants a commit acknowledgement
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
LONGEST_ECHO = 1000
FIRST_CODED_ERR = (2, 5)  # ERR-3 and ERR-4 exist from this version on
TRIGGER_OF_ANSWER = {"R30": "R33", "R31": "R33", "R32": "R33"}  # chapter 7: point of care results


class Code(Enum):
    """MSA-1, table 0008. In enhanced mode the same answers are written CA, CE, CR."""

    ACCEPT = b"AA"
    ERROR = b"AE"  # try again later
    REJECT = b"AR"  # never send this again


class Reason(Enum):
    """What went wrong, table 0357: a number and fixed words, so that no answer can repeat a patient's data."""

    SEGMENTS = (100, "Segment sequence error")
    REQUIRED_FIELD = (101, "Required field missing")
    DATA_TYPE = (102, "Data type error")
    MESSAGE_TYPE = (200, "Unsupported message type")
    EVENT = (201, "Unsupported event code")
    PROCESSING_ID = (202, "Unsupported processing id")
    VERSION = (203, "Unsupported version id")
    DUPLICATE = (205, "Duplicate key identifier")
    INTERNAL = (207, "Application internal error")


def build(head: Head, code: Code, *, control_id: str, at: datetime, reason: Reason | None = None) -> bytes:
    """Return the acknowledgement of the message that begins with `head`, ready to be framed.

    control_id: MSH-10 of the answer itself. at: the moment of the answer. reason: adds an ERR segment.
    The sender's separators and version are kept and its names swapped; a message without MSH-10 gets an empty MSA-2.
    """
    separator, encoding = head.raw(1) or b"|", CONTROL.sub(b"", head.raw(2)) or DEFAULT_SEPARATORS
    component = encoding[:1]
    segments = [
        _msh(head, component, encoding, control_id=control_id, at=at),
        [b"MSA", told(head, code), _echo(head, 10)],
    ]
    if reason is not None:
        segments.append(_err(head, component, reason))
    return b"".join(separator.join(segment) + b"\r" for segment in segments)


def _msh(head: Head, component: bytes, encoding: bytes, *, control_id: str, at: datetime) -> list[bytes]:
    trigger = TRIGGER_OF_ANSWER.get(head.trigger, head.trigger).encode("ascii", "ignore")
    kind = component.join([b"ACK", trigger, b"ACK"]) if trigger.isalnum() else b"ACK"
    stamp = f"{at:%Y%m%d%H%M%S}{at:%z}".encode()
    names = [_echo(head, number) for number in (5, 6, 3, 4)]
    identity = [control_id.encode("ascii", "ignore"), _echo(head, 11) or b"P", _echo(head, 12) or b"2.5.1"]
    return [b"MSH", encoding, *names, stamp, b"", kind, *identity]


def told(head: Head, code: Code) -> bytes:
    """Return MSA-1 as it goes out: AA, or CA where the sender asked for a commit acknowledgement."""
    return b"C" + code.value[1:] if head.accept_ack in ENHANCED else code.value


def _echo(head: Head, number: int) -> bytes:
    """Return the sender's own bytes, without what could end a segment or a frame."""
    return CONTROL.sub(b"", head.raw(number))[:LONGEST_ECHO]


def _err(head: Head, component: bytes, reason: Reason) -> list[bytes]:
    number, words = reason.value
    coded = component.join([str(number).encode(), words.encode(), b"HL70357"])
    if _version(head.version) < FIRST_CODED_ERR:
        return [b"ERR", component * 3 + coded.replace(component, b"&")]
    return [b"ERR", b"", b"", coded, b"E", b"", b"", b"", words.encode()]


def _version(text: str) -> tuple[int, ...]:
    """Return "2.5.1" as (2, 5, 1); what is no version counts as the newest."""
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,2}){1,2}", text):
        return (99,)
    return tuple(int(part) for part in text.split("."))
