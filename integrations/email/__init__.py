"""The port for e-mail: what every provider takes and returns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from integrations.errors import Permanent

ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")  # whatever a mailer could take for the end of a header
HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Email:
    """One mail to one address; `html` is optional beside `text`.

    attempt_id: the caller's own id of this try; travels with the mail and comes back with its events.
    headers: more headers, as List-Unsubscribe.

    Raises:
        Permanent: no provider may take it: not one plain address, a control character in a header, no text.
    """

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    attempt_id: str
    html: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not ADDRESS.fullmatch(self.to) or CONTROL.search(self.to):
            raise Permanent("the recipient is not one e-mail address", code="email:to")
        if not self.subject.strip() or CONTROL.search(self.subject):
            raise Permanent("the subject is empty or has a control character", code="email:subject")
        if not all(HEADER_NAME.fullmatch(name) and not CONTROL.search(value) for name, value in self.headers.items()):
            raise Permanent("a header has a character that does not belong there", code="email:header")
        if not self.text.strip():
            raise Permanent("no text", code="email:text")
        if not self.attempt_id:
            raise Permanent("no attempt id", code="email:attempt")


class EmailTransport(Protocol):
    def send(self, email: Email) -> str:
        """Hand `email` to the provider once; return the provider's id of the message.

        Raises:
            Transient, Permanent, Unknown: see `integrations.errors`.
        """
