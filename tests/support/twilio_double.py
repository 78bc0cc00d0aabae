"""Stands in for Twilio's Messages API; without it no test could see what a text message looks like on the wire."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit
from uuid import uuid4

from tests.support.double import Answer, HttpDouble, Request, serve

MESSAGES = re.compile(r"/2010-04-01/Accounts/(?P<account>\w+)/Messages(?:/(?P<sid>\w+))?\.json")


@dataclass(frozen=True)
class SentSms:
    """One message Twilio took: the form's fields under our names."""

    sid: str
    to: str
    sender: str
    body: str
    attempt_id: str  # "a" of the status callback's query
    status_callback: str
    form: dict[str, str]


class TwilioDouble(HttpDouble):
    """POST Messages.json takes a message, GET lists (`To`) or fetches; errors are Twilio's own JSON.

    Source: Twilio API 2010-04-01, resource Messages.
    """

    default_port = 24010
    sent: list[SentSms]

    def __init__(self, **options: Any) -> None:
        self.sent = []
        super().__init__(**options)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to send here."""
        return {
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "test-token",
            "TWILIO_FROM": "+14155550199",
            "TWILIO_BASE_URL": self.url,
        }

    def refuse_next(self, code: int, *, status: int = 400, **how: Any) -> None:
        """Answer the next request with Twilio's error `code`."""
        self.fail_next(status, error(code, status), **how)

    def take(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        found = MESSAGES.fullmatch(url.path)
        if not found:
            return Answer(404, error(20404, 404))
        if request.method == "POST":
            return self._create(found["account"], dict(parse_qsl(request.body.decode())))
        query = dict(parse_qsl(url.query))
        wanted = [sms for sms in self.sent if found["sid"] in (None, sms.sid) and query.get("To") in (None, sms.to)]
        if found["sid"]:
            return Answer(200, as_json(found["account"], wanted[0])) if wanted else Answer(404, error(20404, 404))
        page = {"page": 0, "page_size": len(wanted), "next_page_uri": None, "uri": request.path}
        return Answer(200, {"messages": [as_json(found["account"], sms) for sms in reversed(wanted)], **page})

    def _create(self, account: str, form: dict[str, str]) -> Answer:
        missing = {"To": 21604, "Body": 21602}
        for name, code in missing.items():
            if not form.get(name):
                return Answer(400, error(code, 400))
        callback = form.get("StatusCallback", "")
        attempt = parse_qs(urlsplit(callback).query).get("a", [""])[0]
        sid = f"SM{uuid4().hex}"
        sender = form.get("From") or form.get("MessagingServiceSid", "")
        sms = SentSms(sid, form["To"], sender, form["Body"], attempt, callback, form)
        self.sent.append(sms)
        self.keep(asdict(sms))
        return Answer(201, as_json(account, sms))


def as_json(account: str, sms: SentSms) -> dict[str, Any]:
    return {
        "sid": sms.sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "to": sms.to,
        "from": sms.sender,
        "body": sms.body,
        "status": "queued",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "num_segments": "1",
        "num_media": "0",
        "uri": f"/2010-04-01/Accounts/{account}/Messages/{sms.sid}.json",
    }


def error(code: int, status: int) -> dict[str, Any]:
    return {
        "code": code,
        "message": f"refused: {code}",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


if __name__ == "__main__":
    serve(TwilioDouble)
