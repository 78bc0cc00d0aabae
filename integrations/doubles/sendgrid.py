"""Stands in for SendGrid's Mail Send API; without it no test could see what an e-mail looks like on the wire."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integrations.doubles.server import Answer, HttpDouble, Request, serve

ATTEMPT = re.compile(r"\(unique_args\['attempt_id'\]=\"(?P<attempt>[^\"]*)\"\)")
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
LONGEST = 30_000_000  # bytes of a whole mail
BAD_TYPE = re.compile(r"[;\r\n]")


@dataclass(frozen=True)
class SentEmail:
    """One mail SendGrid took."""

    message_id: str
    to: str
    sender: str
    subject: str
    text: str
    html: str
    attempt_id: str
    payload: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    reply_to: str = ""
    attachments: tuple[tuple[str, str, bytes], ...] = ()  # name, type, content
    status: str = ""  # the last event of it, as "bounce"; empty: none yet


class SendGridDouble(HttpDouble):
    """POST /v3/mail/send takes a mail and answers 202 with X-Message-Id, GET /v3/messages finds it by its attempt.

    Errors are SendGrid's own JSON. key: whoever asks without it is refused; empty: everybody is let in.

    Source: SendGrid v3 API, Mail Send and Email Activity.
    """

    default_port = 24011
    sent: list[SentEmail]

    def __init__(self, *, key: str = "", **options: Any) -> None:
        self.sent = []
        self._key = key
        self.activity = "delivered"  # how far each mail has come: processed, delivered or not_delivered
        super().__init__(**options)

    def change(self, message_id: str, status: str) -> None:
        """Let an event be the last word on a mail."""
        with self._lock:
            [place] = [place for place, mail in enumerate(self.sent) if mail.message_id == message_id]
            self.sent[place] = replace(self.sent[place], status=status)

    def take(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        if self._key and request.headers.get("Authorization") != f"Bearer {self._key}":
            return Answer(401, errors("The provided authorization grant is invalid, expired, or revoked"))
        if (request.method, url.path) == ("GET", "/v3/messages"):
            return self._find(parse_qs(url.query)["query"][0])
        if (request.method, url.path) != ("POST", "/v3/mail/send"):
            return Answer(404, errors("not found"))
        if len(request.body) > LONGEST:
            return Answer(413, errors("The size of the request is too large."))
        payload = json.loads(request.body)
        if fault := fault_of(payload):
            return Answer(400, fault)
        mail = as_sent(payload)
        self.sent.append(mail)
        self.keep(asdict(mail))
        return Answer(202, None, {"X-Message-Id": mail.message_id})

    def _find(self, query: str) -> Answer:
        asked = ATTEMPT.fullmatch(query)
        if not asked:
            return Answer(400, errors("invalid query"))
        found = [mail for mail in self.sent if mail.attempt_id == asked["attempt"]]
        return Answer(200, {"messages": [as_activity(mail, self.activity) for mail in found]})


def fault_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Return SendGrid's errors of what is wrong with a mail; empty: nothing."""
    people = payload["personalizations"][0]
    addresses = {"from.email": payload["from"]["email"]}
    addresses |= {f"personalizations.0.to.{place}.email": one["email"] for place, one in enumerate(people["to"])}
    for place, address in addresses.items():
        if not ADDRESS.fullmatch(address):
            return errors("Does not contain a valid address.", place)
    for number, part in enumerate(payload["content"]):
        if not part["value"]:
            return errors("The content value must be a string at least one character in length.", f"content.{number}")
    for number, part in enumerate(payload.get("attachments", [])):
        if BAD_TYPE.search(part["type"]):
            return errors("The attachment type cannot contain ';', or CRLF.", f"attachments.{number}")
    return {}


def refusal(status: int) -> Answer:
    """Return how SendGrid says that it is asked too often (429) or cannot answer now (503)."""
    told = {429: "too many requests", 503: "service unavailable"}[status]
    return Answer(status, errors(told), {"X-RateLimit-Reset": str(int(time.time()) + 2)} if status == 429 else {})


def as_sent(payload: dict[str, Any]) -> SentEmail:
    people = payload["personalizations"][0]
    content = {part["type"]: part["value"] for part in payload["content"]}
    return SentEmail(
        message_id=uuid4().hex[:22],
        to=people["to"][0]["email"],
        sender=payload["from"]["email"],
        subject=payload.get("subject") or people.get("subject", ""),
        text=content.get("text/plain", ""),
        html=content.get("text/html", ""),
        attempt_id={**payload.get("custom_args", {}), **people.get("custom_args", {})}.get("attempt_id", ""),
        payload=payload,
        headers={**payload.get("headers", {}), **people.get("headers", {})},
        reply_to=payload.get("reply_to", {}).get("email", ""),
        attachments=tuple(
            (part["filename"], part["type"], base64.b64decode(part["content"]))
            for part in payload.get("attachments", [])
        ),
    )


def as_activity(mail: SentEmail, status: str) -> dict[str, Any]:
    return {
        "msg_id": long_id(mail.message_id),
        "from_email": mail.sender,
        "to_email": mail.to,
        "subject": mail.subject,
        "status": status,
        "opens_count": 0,
        "clicks_count": 0,
        "last_event_time": "2026-03-03T10:30:00Z",
    }


def long_id(message_id: str) -> str:
    """Return the id that events and the activity feed carry; Mail Send answered with its first part only."""
    return f"{message_id}.recvd-68d8dcf7c9-4vqxz-1-65F0A1B2-1F.0"


def errors(message: str, field: str | None = None) -> dict[str, Any]:
    return {"errors": [{"message": message, "field": field, "help": None}]}


def key_pair() -> tuple[ec.EllipticCurvePrivateKey, str]:
    """Return a key that signs webhooks and its public half as SendGrid shows it: base64 of DER, one line."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, base64.b64encode(public).decode()


def sign(body: bytes, key: ec.EllipticCurvePrivateKey, *, timestamp: str = "") -> dict[str, str]:
    """Return the two headers of an event webhook with this very body; timestamp: seconds since 1970, now if empty.

    Source: SendGrid, Event Webhook Security Features.
    """
    timestamp = timestamp or str(int(time.time()))
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


def event(mail: SentEmail, kind: str, **more: Any) -> dict[str, Any]:
    """Return one event of `mail` as SendGrid posts it, in an array; more: other fields, as `type="blocked"`."""
    return {
        "email": mail.to,
        "timestamp": int(time.time()),
        "event": kind,
        "sg_event_id": uuid4().hex,
        "sg_message_id": long_id(mail.message_id),
        "attempt_id": mail.attempt_id,
        **more,
    }


if __name__ == "__main__":
    serve(SendGridDouble)
