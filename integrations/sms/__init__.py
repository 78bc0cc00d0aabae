"""The port for text messages: what every provider takes and returns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from integrations.errors import Permanent

E164 = re.compile(r"\+[1-9][0-9]{1,14}")
LONGEST = 1600  # characters, Twilio's limit for one message of several segments


@dataclass(frozen=True, slots=True)
class Sms:
    """One text to one number in E.164.

    attempt_id: the caller's own id of this try; travels with the message and comes back with its status.
    valid_for_s: seconds in which it must be on its way to the phone, else the provider drops it; None: its default.

    Raises:
        Permanent: no provider would take it: not a number in E.164, empty or too long, no attempt id.
    """

    to: str = field(repr=False)
    body: str = field(repr=False)
    attempt_id: str
    valid_for_s: int | None = None

    def __post_init__(self) -> None:
        if not E164.fullmatch(self.to):
            raise Permanent("the recipient is not a number in E.164", code="sms:to")
        if not self.body.strip() or len(self.body) > LONGEST:
            raise Permanent(f"a body of {len(self.body)} characters cannot be sent", code="sms:body")
        if not self.attempt_id:
            raise Permanent("no attempt id", code="sms:attempt")


@dataclass(frozen=True, slots=True)
class LostSms:
    """A text of which nobody knows whether the provider took it.

    body_sha256: `body_sha256` of its text. sent_after: aware, a moment before it was handed over. taken: the
    provider's ids of messages that belong to other attempts. others: the digests of other lost texts to that number.
    """

    to: str = field(repr=False)
    body_sha256: str
    attempt_id: str
    sent_after: datetime
    taken: Collection[str] = ()
    others: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """How far a message has come, in the provider's word and in ours.

    status: sent, delivered, failed or bounced; None: as it was. segments: 0 while the provider does not tell.
    """

    provider_status: str
    error_code: int | None = None
    segments: int = 0
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The message that a lost one turned out to be."""

    message_id: str
    status: MessageStatus


def body_sha256(body: str) -> str:
    """Return the digest by which a lost text is known again; the text itself need not be kept for that."""
    return hashlib.sha256(body.encode()).hexdigest()


class SmsTransport(Protocol):
    @property
    def can_find(self) -> bool:
        """Tell whether the provider can be asked for a lost message."""

    def send(self, sms: Sms) -> str:
        """Hand `sms` to the provider once; return the provider's id of the message.

        Raises:
            Transient, Permanent, Unknown: see `integrations.errors`.
        """

    def find(self, lost: LostSms) -> Found | None:
        """Return the message that `lost` became; None: the provider has none that could be it.

        Raises:
            Transient: ask again later.
            Unknown: it may be one of several, or the provider cannot be asked: a person decides.
        """

    def status(self, message_id: str) -> MessageStatus:
        """Return how far a message has come.

        Raises:
            Transient, Permanent: see `integrations.errors`; Permanent: the provider has no such message.
        """
