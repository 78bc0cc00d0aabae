"""Stands in for SendGrid's Mail Send API; without it no test could see what an e-mail looks like on the wire."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from tests.support.double import Answer, HttpDouble, Request, serve


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


class SendGridDouble(HttpDouble):
    """POST /v3/mail/send takes a mail and answers 202 with X-Message-Id; errors are SendGrid's own JSON.

    Source: SendGrid v3 API, Mail Send.
    """

    default_port = 24011
    sent: list[SentEmail]

    def __init__(self, **options: Any) -> None:
        self.sent = []
        super().__init__(**options)

    def take(self, request: Request) -> Answer:
        if (request.method, request.path) != ("POST", "/v3/mail/send"):
            return Answer(404, errors("not found"))
        payload = json.loads(request.body)
        people = payload["personalizations"][0]
        content = {part["type"]: part["value"] for part in payload["content"]}
        mail = SentEmail(
            message_id=uuid4().hex,
            to=people["to"][0]["email"],
            sender=payload["from"]["email"],
            subject=payload.get("subject") or people.get("subject", ""),
            text=content.get("text/plain", ""),
            html=content.get("text/html", ""),
            attempt_id={**payload.get("custom_args", {}), **people.get("custom_args", {})}.get("attempt_id", ""),
            payload=payload,
        )
        self.sent.append(mail)
        self.keep(asdict(mail))
        return Answer(202, None, {"X-Message-Id": mail.message_id})


def errors(message: str, field: str | None = None) -> dict[str, Any]:
    return {"errors": [{"message": message, "field": field, "help": None}]}


if __name__ == "__main__":
    serve(SendGridDouble)
