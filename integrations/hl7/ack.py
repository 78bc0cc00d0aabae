"""Writes acknowledgements as bytes; without it a laboratory repeats its message for ever.

Source: HL7 v2.5.1, chapter 2, sections 2.9 (acknowledgements) and 2.15 (MSA, ERR).
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import Enum
from functools import lru_cache

from integrations.hl7.head import DEFAULT_SEPARATORS, Head

ENHANCED = frozenset({"AL", "ER", "SU"})  # MSH-15: the sender wants a commit acknowledgement
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
LONGEST_ECHO = 1000
LONGEST_TRIGGER = 10  # one that is as long is none
FIRST_CODED_ERR = (2, 5)  # ERR-3 and ERR-4 exist from this version on
TRIGGER_OF_ANSWER = {"R30": "R33", "R31": "R33", "R32": "R33"}  # chapter 7: point of care results
LAST = 18  # the last field an answer echoes, MSH-18
NOTHING = (b"",) * (LAST + 1)


class Code(bytes, Enum):
    """MSA-1, table 0008. In enhanced mode the same answers are written CA, CE, CR."""

    ACCEPT = b"AA"
    ERROR = b"AE"  # try again later
    REJECT = b"AR"  # never send this again


class Reason(Enum):
    """What went wrong, table 0357: a number and fixed words, so that no answer can repeat a patient's data."""

    SEGMENTS = (100, "Segment sequence error")
    REQUIRED_FIELD = (101, "Required field missing")
    MESSAGE_TYPE = (200, "Unsupported message type")
    PROCESSING_ID = (202, "Unsupported processing id")
    VERSION = (203, "Unsupported version id")
    SENDER = (204, "Unknown key identifier")
    INTERNAL = (207, "Application internal error")


def is_asked_for(condition: str, code: Code) -> bool:
    """Tell whether MSH-15 or MSH-16 asks for an answer with this code, table 0155; nothing and NE ask for none."""
    return condition in {"AL", "SU" if code is Code.ACCEPT else "ER"}


def build(
    head: Head,
    code: Code,
    *,
    control_id: str,
    at: datetime,
    reason: Reason | None = None,
    commit: bool | None = None,
    final: bool = False,
) -> bytes:
    """Return the acknowledgement of the message that begins with `head`, ready to be framed.

    control_id: MSH-10 of the answer itself. at: the moment of the answer. reason: adds an ERR segment.
    commit: CA, CE, CR instead of AA, AE, AR; None: as MSH-15 asks. final: a message of its own that wants no answer
    (MSH-15 and MSH-16 are NE).
    The sender's separators, version and charset are kept and its names swapped; a message without MSH-10 gets an empty
    MSA-2.
    """
    sent = _echoes(head)
    separator, encoding = sent[1] or b"|", sent[2] or DEFAULT_SEPARATORS
    part = encoding[:1]
    tail = [b"", b"", b"NE", b"NE"] if final else []
    if sent[LAST]:
        tail += [*[b""] * (5 - len(tail)), sent[LAST]]
    kind = _kind(head.trigger[:LONGEST_TRIGGER], part)
    own = control_id.encode("ascii", "ignore")
    msh = [b"MSH", encoding, sent[5], sent[6], sent[3], sent[4], _stamp(at), b"", kind, own]
    msh += [sent[11] or b"P", sent[12] or b"2.5.1", *tail]
    msa = b"\rMSA" + separator + told(head, code, commit=commit) + separator + sent[10] + b"\r"
    answer = separator.join(msh) + msa
    return answer if reason is None else answer + separator.join(_err(head, part, reason)) + b"\r"


def told(head: Head, code: Code, *, commit: bool | None = None) -> bytes:
    """Return MSA-1 as it goes out: AA, or CA for a commit acknowledgement (None: as MSH-15 asks)."""
    if commit is None:
        commit = head.accept_ack in ENHANCED
    return b"C" + code[1:] if commit else code[:]


def _echoes(head: Head) -> tuple[bytes, ...]:
    """Return the sender's own fields up to MSH-18, without what could end a segment or a frame, each cut."""
    sent = (head.fields + NOTHING)[: LAST + 1]
    whole = b"".join(sent)
    if len(whole) <= LONGEST_ECHO and not CONTROL.search(whole):
        return sent
    return tuple(CONTROL.sub(b"", field)[:LONGEST_ECHO] for field in sent)


@lru_cache(maxsize=64)
def _kind(trigger: str, part: bytes) -> bytes:
    """Return MSH-9 of the answer."""
    own = TRIGGER_OF_ANSWER.get(trigger, trigger).encode("ascii", "ignore")
    return part.join([b"ACK", own, b"ACK"]) if own.isalnum() and len(own) < LONGEST_TRIGGER else b"ACK"


@lru_cache(maxsize=4)
def _stamp(at: datetime) -> bytes:
    return f"{at:%Y%m%d%H%M%S}{at:%z}".encode()


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
