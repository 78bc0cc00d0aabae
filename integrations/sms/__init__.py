"""The port for text messages: what every provider takes and returns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from integrations.errors import Permanent

E164 = re.compile(r"\+[1-9][0-9]{1,14}")
LONGEST = 1600  # characters, Twilio's limit for one message of several segments


@dataclass(frozen=True, slots=True)
class Sms:
    """One text to one number in E.164.

    attempt_id: the caller's own id of this try; travels with the message and comes back with its status.

    Raises:
        Permanent: no provider would take it: not a number in E.164, empty or too long, no attempt id.
    """

    to: str = field(repr=False)
    body: str = field(repr=False)
    attempt_id: str

    def __post_init__(self) -> None:
        if not E164.fullmatch(self.to):
            raise Permanent("the recipient is not a number in E.164", code="sms:to")
        if not self.body.strip() or len(self.body) > LONGEST:
            raise Permanent(f"a body of {len(self.body)} characters cannot be sent", code="sms:body")
        if not self.attempt_id:
            raise Permanent("no attempt id", code="sms:attempt")


class SmsTransport(Protocol):
    def send(self, sms: Sms) -> str:
        """Hand `sms` to the provider once; return the provider's id of the message.

        Raises:
            Transient, Permanent, Unknown: see `integrations.errors`.
        """
