"""Stands in for Twilio's Messages API; without it no test could see what a text message looks like on the wire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from uuid import uuid4

from integrations.doubles.server import Answer, HttpDouble, Request, serve

LONGEST = 1600  # characters of a body
NUMBER = re.compile(r"\+[1-9]\d{6,14}")
SERVICE = re.compile(r"MG[0-9a-f]{32}")
BUSY = {429: 20429, 503: 20503}
MESSAGES = re.compile(r"/2010-04-01/Accounts/(?P<account>\w+)/Messages(?:/(?P<sid>\w+))?\.json")
PAGE_SIZE = 50


@dataclass(frozen=True)
class SentSms:
    """One message Twilio took: the form's fields under our names, and what became of it since."""

    sid: str
    to: str
    sender: str
    body: str
    attempt_id: str  # "a" of the status callback's query
    status_callback: str
    form: dict[str, str]
    created_at: datetime
    sent_at: datetime | None  # None: it still waits in Twilio's queue
    status: str = "queued"
    error_code: int | None = None
    direction: str = "outbound-api"


class TwilioDouble(HttpDouble):
    """POST Messages.json takes a message, GET lists (`To`, `DateSent>`, in pages) or fetches; errors are Twilio's JSON.

    A list begins with the newest. `DateSent>` is a day, and never finds what Twilio has not sent yet. token: whoever
    asks without it is refused; empty: everybody is let in.

    Source: Twilio API 2010-04-01, resource Messages.
    """

    default_port = 24010
    sent: list[SentSms]

    def __init__(self, *, token: str = "", **options: Any) -> None:
        self.sent = []
        self._token = token
        super().__init__(**options)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to send here."""
        return {
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": self._token or "test-token",
            "TWILIO_FROM": "+14155550199",
            "TWILIO_BASE_URL": self.url,
        }

    def refuse_next(self, code: int, *, status: int = 400, **how: Any) -> None:
        """Answer the next request with Twilio's error `code`."""
        self.fail_next(status, error(code, status), **how)

    def change(self, sid: str, **changes: Any) -> SentSms:
        """Let something happen to a message: `change(sid, status="undelivered", error_code=30005)`."""
        with self._lock:
            [place] = [place for place, sms in enumerate(self.sent) if sms.sid == sid]
            self.sent[place] = replace(self.sent[place], **changes)
            return self.sent[place]

    def take(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        found = MESSAGES.fullmatch(url.path)
        if not found:
            return Answer(404, error(20404, 404))
        if not self._knows(found["account"], request):
            return Answer(401, error(20003, 401))
        if request.method == "POST":
            return self._create(found["account"], dict(parse_qsl(request.body.decode())))
        if not found["sid"]:
            return self._list(found["account"], dict(parse_qsl(url.query)), url.path)
        wanted = [sms for sms in self.sent if sms.sid == found["sid"]]
        return Answer(200, as_json(found["account"], wanted[0])) if wanted else Answer(404, error(20404, 404))

    def _knows(self, account: str, request: Request) -> bool:
        told = base64.b64encode(f"{account}:{self._token}".encode()).decode()
        return not self._token or request.headers.get("Authorization") == f"Basic {told}"

    def _list(self, account: str, query: dict[str, str], path: str) -> Answer:
        since = date.fromisoformat(query["DateSent>"][:10]) if "DateSent>" in query else None
        wanted = [
            as_json(account, sms)
            for sms in reversed(self.sent)
            if query.get("To") in (None, sms.to)
            and (since is None or (sms.sent_at is not None and sms.sent_at.date() >= since))
        ]
        size, page = int(query.get("PageSize", PAGE_SIZE)), int(query.get("Page", 0))
        more = f"{path}?{urlencode({**query, 'Page': page + 1})}" if len(wanted) > (page + 1) * size else None
        page_info = {"page": page, "page_size": size, "next_page_uri": more, "uri": path}
        return Answer(200, {"messages": wanted[page * size :][:size], **page_info})

    def _create(self, account: str, form: dict[str, str]) -> Answer:
        code = fault_of(form)
        if code:
            return Answer(400, error(code, 400))
        sms = self.place(form)
        self.keep(asdict(sms))
        return Answer(201, as_json(account, sms))

    def place(self, form: dict[str, str], **more: Any) -> SentSms:
        """Take the message that `form` asks for, however it came here."""
        callback, now = form.get("StatusCallback", ""), datetime.now(UTC)
        attempt = parse_qs(urlsplit(callback).query).get("a", [""])[0]
        sender = form.get("From") or form.get("MessagingServiceSid", "")
        whole = {"status_callback": callback, "form": form, "created_at": now, "sent_at": now, **more}
        sms = SentSms(f"SM{uuid4().hex}", form["To"], sender, form["Body"], attempt, **whole)
        self.sent.append(sms)
        return sms


def fault_of(form: Mapping[str, str]) -> int:
    """Return Twilio's code of what is wrong with the form of a message; 0: nothing."""
    sender, service = form.get("From", ""), form.get("MessagingServiceSid", "")
    right = (
        (21604, bool(form.get("To"))),
        (21602, bool(form.get("Body"))),
        (21603, bool(sender or service)),
        (21211, NUMBER.fullmatch(form.get("To", ""))),
        (21212, not sender or NUMBER.fullmatch(sender)),
        (21701, not service or SERVICE.fullmatch(service)),
        (21617, len(form.get("Body", "")) <= LONGEST),
        (21620, 1 <= int(form.get("ValidityPeriod", 1)) <= 36000),
    )
    return next((code for code, is_right in right if not is_right), 0)


def refusal(status: int) -> Answer:
    """Return how Twilio says that it is asked too often (429) or cannot answer now (503)."""
    return Answer(status, error(BUSY[status], status), {"Retry-After": "2"} if status == 429 else {})


def as_json(account: str, sms: SentSms) -> dict[str, Any]:
    service = sms.form.get("MessagingServiceSid")
    return {
        "sid": sms.sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "to": sms.to,
        "from": None if service else sms.sender,
        "messaging_service_sid": service,
        "body": sms.body,
        "status": sms.status,
        "direction": sms.direction,
        "date_created": format_datetime(sms.created_at),
        "date_sent": sms.sent_at and format_datetime(sms.sent_at),
        "error_code": sms.error_code,
        "error_message": None,
        "num_segments": "0" if service else "1",
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


def sign(url: str, form: Mapping[str, str], token: str) -> str:
    """Return the X-Twilio-Signature of a POST of `form` to `url`, written down anew rather than by the SDK we test.

    Source: Twilio, Webhooks Security, "Validating Signatures from Twilio".
    """
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def status_form(sms: SentSms, status: str, *, error_code: int | None = None, account: str = "") -> dict[str, str]:
    """Return the form of the status callback Twilio sends for `sms`."""
    form = {"MessageSid": sms.sid, "SmsSid": sms.sid, "MessageStatus": status, "SmsStatus": status, "To": sms.to}
    form |= {"From": sms.sender, "AccountSid": account or "AC" + "0" * 32, "ApiVersion": "2010-04-01"}
    return form | ({"ErrorCode": str(error_code)} if error_code is not None else {})


def inbound_form(sender: str, to: str, body: str, *, sid: str = "", account: str = "", **more: str) -> dict[str, str]:
    """Return the form Twilio posts when somebody writes to our number; more: other fields, as `OptOutType="STOP"`."""
    sid = sid or f"SM{uuid4().hex}"
    form = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "From": sender, "To": to, "Body": body}
    form |= {"AccountSid": account or "AC" + "0" * 32, "ApiVersion": "2010-04-01", "SmsStatus": "received"}
    return form | {"NumSegments": "1", "NumMedia": "0"} | more


if __name__ == "__main__":
    serve(TwilioDouble)
