"""Decides about a message as it comes and writes its answer; without it the door would need Django to say AA.

Nothing here touches a database.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import uuid_utils

from backend.apps.laboratory.keys import key_of
from integrations.hl7 import ack
from integrations.hl7.ack import Code, Reason
from integrations.hl7.head import Head, read_head
from workers import kinds
from workers.feeds import Book, Feed

NETWORK, FILE = "network", "file"  # the doors
RECEIVED, REJECTED = "received", "rejected"
AS_ASKED, DEFERRED, ENHANCED = "as_asked", "deferred", "enhanced"
WIDTH = 250  # of the columns for the sender's names and the control id

Verdict = tuple[Code, Reason | None, str]
ACCEPTED: Verdict = (Code.ACCEPT, None, "")


class Arrival(NamedTuple):
    """One message as it came: its bytes, the address of its peer, the door, its peer's certificate (SHA-256 of DER)."""

    raw: bytes
    peer: str
    door: str = NETWORK
    certificate: str = ""

    def __repr__(self) -> str:
        return f"Arrival({len(self.raw)} bytes)"


class Taken(NamedTuple):
    """A message that is decided about: what is stored of it, and what its sender hears.

    key: the row's id, 16 bytes. receipt: the answer once it is stored; empty when nothing is said then.
    later: what follows once it is filed: "deferred" the answer itself, "enhanced" an application acknowledgement, ""
    nothing.
    """

    key: bytes
    arrival: Arrival
    head: Head
    code: Code
    reason: Reason | None
    why: str
    feed: Feed | None
    sha256: str
    dedupe_key: str
    receipt: bytes
    ack_code: str
    later: str

    @property
    def accepted(self) -> bool:
        return self.code is Code.ACCEPT

    def __repr__(self) -> str:
        return f"Taken({self.key.hex()})"


def now() -> datetime:
    return _second(int(time.time()))


@lru_cache(maxsize=2)
def _second(since_1970: int) -> datetime:
    return datetime.fromtimestamp(since_1970, UTC)


def take(arrival: Arrival, book: Book, at: datetime, *, in_batch: bool = False) -> Taken:
    """Decide about one message. in_batch: it is answered in one acknowledgement with others, on receipt."""
    head = read_head(arrival.raw)
    feed = book.of(head.sending_app, head.sending_facility, chr(head.fields[2][0])) if head.is_hl7 else None
    code, reason, why = verdict(head, feed, arrival)
    key = uuid_utils.uuid7().bytes
    commit, later = (False, "") if in_batch else _conversation(head, feed, code)
    receipt, told = b"", b""
    if commit is not None:
        receipt = ack.build(head, code, control_id=key.hex()[12:], at=at, reason=reason, commit=commit)
        told = ack.told(head, code, commit=commit)
    digest = hashlib.sha256(arrival.raw).hexdigest()
    own = key_of(*names_of(head), digest)
    return Taken(key, arrival, head, code, reason, why, feed, digest, own, receipt, told.decode(), later)


def names_of(head: Head) -> tuple[str, str, str]:
    """Return the sender's names and the control id, each as much as its column takes."""
    return head.sending_app[:WIDTH], head.sending_facility[:WIDTH], head.control_id[:WIDTH]


def verdict(head: Head, feed: Feed | None, arrival: Arrival) -> Verdict:
    """Return how a message with this head is answered, and why in a sentence when it is refused."""
    if not head.is_hl7:
        return Code.REJECT, Reason.SEGMENTS, "This is not an HL7 message."
    if feed is None and arrival.door != FILE:
        return Code.REJECT, Reason.SENDER, "No feed is set up for this sender."
    if feed is not None and arrival.door != FILE and not feed.lets_in(arrival.peer, arrival.certificate):
        return Code.REJECT, Reason.SENDER, "This feed may not come from this address or with this certificate."
    if not head.control_id:
        return Code.ERROR, Reason.REQUIRED_FIELD, "The message has no control id (MSH-10)."
    return _policy(head, feed)


def _policy(head: Head, feed: Feed | None) -> Verdict:
    """Return the verdict about what the feed has a rule for: processing id, version, type of message."""
    if feed is not None:
        mode = head.processing_id.partition(chr(head.fields[2][0]))[0].strip() or "P"
        if mode not in feed.processing_ids:
            return (
                Code.REJECT,
                Reason.PROCESSING_ID,
                "This feed does not take messages with this processing id (MSH-11).",
            )
        if feed.versions and head.version not in feed.versions:
            return Code.REJECT, Reason.VERSION, "This feed does not take this version of HL7 (MSH-12)."
    if (head.message_code, head.trigger) in kinds.RESULTS or head.message_code in kinds.ABOUT_ORDERS:
        return ACCEPTED
    if feed is not None and (feed.takes_unknown_types or (feed.takes_adt and head.message_code == "ADT")):
        return ACCEPTED
    return Code.REJECT, Reason.MESSAGE_TYPE, "This type of message is not taken."


def _conversation(head: Head, feed: Feed | None, code: Code) -> tuple[bool | None, str]:
    """Return how a message is answered on receipt (True: CA, CE, CR; False: AA, AE, AR; None: not), and what follows.

    Source: HL7 v2.5.1, chapter 2, sections 2.9.2 (original mode) and 2.9.3 (enhanced mode).
    """
    mode = feed.ack_mode if feed is not None else AS_ASKED
    on_receipt, when_filed = head.accept_ack, head.application_ack
    is_answer = head.message_code in kinds.ANSWERS
    if mode == ENHANCED and not on_receipt and not when_filed:
        on_receipt = when_filed = "AL"
    elif mode != ENHANCED and (mode != AS_ASKED or not (on_receipt or when_filed)):
        if is_answer:
            return None, ""
        return (None, DEFERRED) if mode == DEFERRED and code is Code.ACCEPT else (False, "")
    if is_answer:
        when_filed = ""
    if code is Code.ACCEPT:
        later = ENHANCED if when_filed in ack.ENHANCED else ""
        return (True if ack.is_asked_for(on_receipt, code) else None), later
    if ack.is_asked_for(on_receipt, code):
        return True, ""
    return (False if ack.is_asked_for(when_filed, code) else None), ""


def filed(status: str, work_state: str) -> Code | None:
    """Return how a stored message is answered once its outcome is known; None while it is not.

    What is filed, on the worklist or a duplicate is safe with us; what a machine gave up on the sender may repeat.
    """
    if work_state in {"failed", "held"}:
        return Code.ERROR
    if status == RECEIVED:
        return None
    return Code.REJECT if status == REJECTED else Code.ACCEPT


def outcome_answer(taken: Taken, code: Code, at: datetime) -> bytes:
    """Return the application acknowledgement of a message whose outcome is known; empty where it is not wanted."""
    reason = {Code.ERROR: Reason.INTERNAL, Code.REJECT: Reason.MESSAGE_TYPE}.get(code)
    own = uuid_utils.uuid7().hex[12:]
    if taken.later == DEFERRED:
        return ack.build(taken.head, code, control_id=own, at=at, reason=reason, commit=False)
    if not ack.is_asked_for(taken.head.application_ack or "AL", code):
        return b""
    return ack.build(taken.head, code, control_id=own, at=at, reason=reason, commit=False, final=True)


def refusal(taken: Taken, at: datetime) -> bytes:
    """Return the answer to a message the database will not hold: the sender keeps it and may try again."""
    commit = taken.ack_code.startswith("C")
    return ack.build(
        taken.head, Code.ERROR, control_id=taken.key.hex()[12:], at=at, reason=Reason.INTERNAL, commit=commit
    )
