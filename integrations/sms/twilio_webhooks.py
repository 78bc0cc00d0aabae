"""Tells Twilio's own calls from everybody else's and reads them; without it anybody could say a text was delivered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, urlsplit

from twilio.request_validator import RequestValidator

from integrations.errors import Permanent

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]
NOT_TWILIOS = (TypeError, ValueError, AttributeError)  # what the SDK raises over input that Twilio never makes


def verify(url: str, form: Pairs, signature: str | None, tokens: Sequence[str]) -> bool:
    """Tell whether Twilio signed this POST of `form` to `url` with one of our tokens.

    url: the public one that Twilio was given, with its query, built from our settings and never from the request.
    tokens: the account's; two while they are exchanged. An empty one is none, and without any nothing passes.

    Source: Twilio, Webhooks Security, "Validating Signatures from Twilio".
    """
    try:
        if not signature or "bodySHA256" in parse_qs(urlsplit(url).query):
            return False  # such a signature covers a JSON body, which is not what we were given
        posted = _Form(form)
        return any(RequestValidator(token).validate(url, posted, signature) for token in tokens if token)
    except NOT_TWILIOS:
        return False


class _Form(dict[str, list[str]]):
    """A form as the SDK wants it when a name may come twice."""

    def __init__(self, form: Pairs) -> None:
        super().__init__()
        for name, value in form.items() if isinstance(form, Mapping) else form:
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """How far a text has come. account_sid: to be compared with ours by the caller."""

    message_id: str
    account_sid: str
    provider_status: str
    error_code: int | None = None

    @classmethod
    def read(cls, form: Mapping[str, str]) -> Self:
        """Return what a status callback says.

        Raises:
            Permanent: it names no message or no status.
        """
        message_id, status = _message_id(form), form.get("MessageStatus") or form.get("SmsStatus") or ""
        if not status:
            raise Permanent("a status report without a status", code="twilio:report")
        return cls(message_id, form.get("AccountSid", ""), status[:30], _number(form.get("ErrorCode", "")))


@dataclass(frozen=True, slots=True)
class InboundSms:
    """A text somebody sent us. opt_out_type: STOP, START or HELP when Twilio has acted on it itself, else empty."""

    message_id: str
    account_sid: str
    sender: str = field(repr=False)
    to: str
    body: str = field(repr=False)
    opt_out_type: str = ""
    media: int = 0

    @classmethod
    def read(cls, form: Mapping[str, str]) -> Self:
        """Return what somebody wrote.

        Raises:
            Permanent: it names no message or no sender.
        """
        message_id, sender = _message_id(form), form.get("From", "")
        if not sender:
            raise Permanent("an answer without a sender", code="twilio:inbound")
        return cls(
            message_id=message_id,
            account_sid=form.get("AccountSid", ""),
            sender=sender,
            to=form.get("To", ""),
            body=form.get("Body", ""),
            opt_out_type=form.get("OptOutType", "").upper(),
            media=_number(form.get("NumMedia", "")) or 0,
        )


def _message_id(form: Mapping[str, str]) -> str:
    message_id = form.get("MessageSid") or form.get("SmsSid") or ""
    if not message_id.isalnum() or len(message_id) > 64:
        raise Permanent("a call that names no message", code="twilio:message")
    return message_id


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
