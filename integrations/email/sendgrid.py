"""Sends mail through SendGrid's own SDK, with its transport made strict: pooled, a timeout, every failure sorted."""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Mapping
from email.utils import parseaddr
from typing import Any, Self

from python_http_client.client import Client
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Attachment as SdkAttachment
from sendgrid.helpers.mail import ClickTracking, CustomArg, Header, Mail, OpenTracking, ReplyTo, TrackingSettings

from integrations import http
from integrations.email import CONTROL, Attachment, Email, Found, LostEmail, is_address
from integrations.email.sendgrid_events import short_id
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown

PARTNER = "sendgrid"
BASE_URL = "https://api.sendgrid.com"
SDK_LOGGERS = ("python_http_client", "python_http_client.client")  # at DEBUG they write bodies and the key
ASKABLE = re.compile(r"[\w.:-]+", re.ASCII)  # attempt ids that need no quoting in a query


class SendGridEmail:
    """base_url: another server than SendGrid's, as its EU one; only this machine unless `allow_any_host`.

    activity_feed: the account pays for Email Activity, so a lost mail can be looked for. One instance per thread.
    """

    def __init__(
        self,
        *,
        api_key: str,
        sender: str,
        base_url: str = "",
        allow_any_host: bool = False,
        activity_feed: bool = False,
        timeout_s: tuple[float, float] = http.TIMEOUT_S,
    ) -> None:
        if not is_address(parseaddr(sender)[1]):
            raise ValueError("the sender of mail by SendGrid is not an e-mail address")
        if CONTROL.search(api_key) or not api_key.isascii():
            raise ValueError("the key of SendGrid has a character that no key has")
        for name in SDK_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        host = http.checked_base_url(base_url, allow_any_host=allow_any_host) if base_url else BASE_URL
        self._sdk = SendGridAPIClient(api_key, host=host)
        self._sdk.client = StrictClient(self._sdk.client, http.Http(partner=PARTNER, timeout_s=timeout_s))
        self._sender = sender
        self.can_find = activity_feed

    def send(self, email: Email) -> str:
        """See `EmailTransport.send`; returns X-Message-Id, the first part of `sg_message_id` in later events."""
        answer = self._sdk.send(self._mail(email))
        message_id = answer.headers.get("X-Message-Id")
        if not message_id:
            raise Unknown("accepted, but the answer names no message", code="sendgrid:unreadable")
        return str(message_id)

    def find(self, lost: LostEmail) -> Found | None:
        """See `EmailTransport.find`; its words are "processed", "delivered" and "not_delivered".

        Source: SendGrid v3 API, Email Activity, query on `unique_args`.
        """
        if not self.can_find or not ASKABLE.fullmatch(lost.attempt_id):
            raise Unknown("the account cannot look for a mail", code="sendgrid:no-activity")
        query = f"(unique_args['attempt_id']=\"{lost.attempt_id}\")"
        try:
            answer = self._sdk.client.messages.get(query_params={"query": query, "limit": 10})
            found = json.loads(answer.body)["messages"]
            return Found(short_id(found[0]["msg_id"]), str(found[0]["status"])) if found else None
        except Permanent as error:
            raise Unknown("a question it does not take", code=error.code) from None
        except (ValueError, LookupError, TypeError):
            raise Transient("a list that cannot be read", code="sendgrid:unreadable") from None

    def _mail(self, email: Email) -> Mail:
        mail = Mail(
            from_email=self._sender,
            to_emails=email.to,
            subject=email.subject,
            plain_text_content=email.text,
            html_content=email.html or None,
        )
        mail.custom_arg = CustomArg("attempt_id", email.attempt_id)
        for name, value in email.all_headers().items():
            mail.header = Header(name, value)
        for file in reversed(email.attachments):  # the SDK puts each before the others
            mail.attachment = _sdk_attachment(file)
        if email.reply_to:
            mail.reply_to = ReplyTo(email.reply_to)
        mail.tracking_settings = TrackingSettings(  # tracked links would tell a third party what a patient reads
            click_tracking=ClickTracking(enable=False, enable_text=False), open_tracking=OpenTracking(enable=False)
        )
        return mail


def _sdk_attachment(file: Attachment) -> SdkAttachment:
    """Return `file` as SendGrid takes it: it refuses parameters of the type, so they are left to the content."""
    content = base64.b64encode(file.content).decode()
    return SdkAttachment(content, file.name, file.content_type.partition(";")[0], "attachment")


class StrictClient(Client):  # type: ignore[misc]  # the SDK has no types
    """The SDK's client on our transport; headers are copied, never shared between calls."""

    def __init__(self, like: Client, over: http.Http) -> None:
        super().__init__(
            host=like.host,
            request_headers=dict(like.request_headers),
            version=like._version,
            url_path=list(like._url_path),
            append_slash=like.append_slash,
        )
        self._http = over

    def _build_client(self, name: str | None = None) -> Self:
        child = type(self)(self, self._http)
        if name:
            child._url_path.append(name)
        return child

    def get(self, *, query_params: Mapping[str, Any]) -> http.Answer:
        return self._call("GET", query_params, None)

    def post(self, *, request_body: Mapping[str, Any]) -> http.Answer:
        return self._call("POST", None, json.dumps(request_body).encode())

    def _call(self, method: str, query_params: Mapping[str, Any] | None, body: bytes | None) -> http.Answer:
        headers = {**self.request_headers, **({"Content-Type": "application/json"} if body else {})}
        answer = self._http.exchange(method, self._build_url(query_params), headers=headers, body=body)
        if not 200 <= answer.status < 300:
            raise refusal(answer.status, answer.headers, method=method, now_s=time.time())
        return answer


def refusal(status: int, headers: Mapping[str, str], *, method: str, now_s: float) -> IntegrationError:
    """Return what SendGrid's error answer means. Its body may repeat the address, so it is not kept.

    `now_s`: seconds since 1970, to read X-RateLimit-Reset.
    """
    code = f"sendgrid:http-{status}"
    if status in (401, 403):
        return Misconfigured("our account is not allowed to send this", code=code)
    reset = headers.get("X-RateLimit-Reset", "")
    if status == 429 and reset.isascii() and reset.isdigit():
        wait = min(max(float(reset[:12]) - now_s, 1.0), http.LONGEST_WAIT_S)
        return Transient("too many requests", code=code, retry_after_s=wait)
    if status >= 500 and method.upper() not in http.SAFE:
        return Unknown(f"HTTP {status}", code=code)
    return http.refused(status, headers, partner=PARTNER, method=method)
