"""The port for e-mail: what every provider takes and returns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from integrations.errors import Permanent

ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")  # whatever a mailer could take for the end of a header
HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")
CONTENT_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+(; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*")
LINK = re.compile(r"https?://[!-;=?-~]{1,900}")  # visible ASCII without < and >
OUR_OWN = frozenset(
    {"bcc", "cc", "content-type", "date", "from", "message-id", "mime-version", "reply-to", "sender", "subject", "to"}
)  # headers that come from fields, never from `headers`


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail, as a calendar entry. content_type: may have parameters, as `; method=PUBLISH`.

    Raises:
        Permanent: a name or type that no mailer would carry unchanged.
    """

    name: str
    content_type: str
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not FILE_NAME.fullmatch(self.name) or not CONTENT_TYPE.fullmatch(self.content_type):
            raise Permanent("an attachment's name or type has a strange character", code="email:attachment")


@dataclass(frozen=True, slots=True)
class Email:
    """One mail to one address; `html` is optional beside `text`.

    attempt_id: the caller's own id of this try; travels with the mail and comes back with its events.
    headers: more headers, as Auto-Submitted; never those that have a field here.
    unsubscribe_url: one POST to it, without a person's help, ends these mails (RFC 8058).

    Raises:
        Permanent: no provider may take it: not one plain address, a control character in a header, no text.
    """

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    attempt_id: str
    html: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    attachments: tuple[Attachment, ...] = ()
    unsubscribe_url: str = field(default="", repr=False)
    reply_to: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not is_address(self.to):
            raise Permanent("the recipient is not one e-mail address", code="email:to")
        if self.reply_to and not is_address(self.reply_to):
            raise Permanent("answers should go to something that is no e-mail address", code="email:reply-to")
        if not self.subject.strip() or CONTROL.search(self.subject):
            raise Permanent("the subject is empty or has a control character", code="email:subject")
        if not all(_is_header(name, value) for name, value in self.headers.items()):
            raise Permanent("a header has a character or a name that does not belong there", code="email:header")
        if self.unsubscribe_url and not LINK.fullmatch(self.unsubscribe_url):
            raise Permanent("the link to unsubscribe is not a link", code="email:unsubscribe")
        if not self.text.strip():
            raise Permanent("no text", code="email:text")
        if not self.attempt_id:
            raise Permanent("no attempt id", code="email:attempt")

    def all_headers(self) -> dict[str, str]:
        """Return `headers` and those that the unsubscribe link makes. Source: RFC 2369, 3.2; RFC 8058, 3.1."""
        if not self.unsubscribe_url:
            return dict(self.headers)
        one_click = {
            "List-Unsubscribe": f"<{self.unsubscribe_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        return {**self.headers, **one_click}


@dataclass(frozen=True, slots=True)
class LostEmail:
    """A mail of which nobody knows whether the provider took it. sent_after: aware, before it was handed over."""

    to: str = field(repr=False)
    attempt_id: str
    sent_after: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """The mail that a lost one turned out to be.

    provider_status: the provider's word for how far that has come, as "delivered" or "not_delivered"; may be empty.
    """

    message_id: str
    provider_status: str = ""


def is_address(text: str) -> bool:
    """Tell whether `text` is one plain address and nothing else."""
    return bool(ADDRESS.fullmatch(text)) and not CONTROL.search(text)


def _is_header(name: str, value: str) -> bool:
    return bool(HEADER_NAME.fullmatch(name)) and name.lower() not in OUR_OWN and not CONTROL.search(value)


class EmailTransport(Protocol):
    @property
    def can_find(self) -> bool:
        """Tell whether the provider can be asked for a lost mail."""

    def send(self, email: Email) -> str:
        """Hand `email` to the provider once; return the provider's id of the message.

        Raises:
            Transient, Permanent, Unknown: see `integrations.errors`.
        """

    def find(self, lost: LostEmail) -> Found | None:
        """Return the mail that `lost` became; None: the provider has none that could be it.

        Raises:
            Transient: ask again later.
            Unknown: this provider cannot be asked.
        """
