"""Sends mail through SendGrid's own SDK, with its transport made strict: pooled, a timeout, every failure sorted."""

from __future__ import annotations

import logging
import time
import urllib.request
from collections.abc import Mapping
from typing import Any, Self, cast

import requests
from python_http_client.client import Client
from requests import exceptions
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import ClickTracking, CustomArg, Header, Mail, OpenTracking, TrackingSettings

from integrations import http
from integrations.email import Email
from integrations.errors import IntegrationError, Transient, Unknown

PARTNER = "sendgrid"
BASE_URL = "https://api.sendgrid.com"
SDK_LOGGERS = ("python_http_client", "python_http_client.client")  # at DEBUG they write bodies and the key
OURS_RETRY_S = 300.0  # 401 and 403: nothing was sent, and nothing will be until our account is right


class SendGridEmail:
    """base_url: another server than SendGrid's, as its EU one; only this machine unless `allow_any_host`."""

    def __init__(
        self,
        *,
        api_key: str,
        sender: str,
        base_url: str = "",
        allow_any_host: bool = False,
        timeout_s: tuple[float, float] = http.TIMEOUT_S,
    ) -> None:
        for name in SDK_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        host = http.checked_base_url(base_url, allow_any_host=allow_any_host) if base_url else BASE_URL
        self._sdk = SendGridAPIClient(api_key, host=host)
        self._sdk.client = StrictClient(self._sdk.client, http.session(), timeout_s)
        self._sender = sender

    def send(self, email: Email) -> str:
        """See `EmailTransport.send`; returns X-Message-Id, the first part of `sg_message_id` in later events."""
        answer = self._sdk.send(self._mail(email))
        message_id = answer.headers.get("X-Message-Id")
        if not message_id:
            raise Unknown("accepted, but the answer names no message", code="sendgrid:unreadable")
        return str(message_id)

    def _mail(self, email: Email) -> Mail:
        mail = Mail(
            from_email=self._sender,
            to_emails=email.to,
            subject=email.subject,
            plain_text_content=email.text,
            html_content=email.html or None,
        )
        mail.custom_arg = CustomArg("attempt_id", email.attempt_id)
        for name, value in email.headers.items():
            mail.header = Header(name, value)
        mail.tracking_settings = TrackingSettings(  # tracked links would tell a third party what a patient reads
            click_tracking=ClickTracking(enable=False, enable_text=False), open_tracking=OpenTracking(enable=False)
        )
        return mail


class StrictClient(Client):  # type: ignore[misc]  # the SDK has no types
    """The SDK's client over one session; headers are copied, never shared between calls."""

    def __init__(self, like: Client, session: requests.Session, timeout_s: tuple[float, float]) -> None:
        super().__init__(
            host=like.host,
            request_headers=dict(like.request_headers),
            version=like._version,
            url_path=list(like._url_path),
            append_slash=like.append_slash,
            timeout=timeout_s,
        )
        self._session = session

    def _build_client(self, name: str | None = None) -> Self:
        child = type(self)(self, self._session, self.timeout)
        if name:
            child._url_path.append(name)
        return child

    def _make_request(self, opener: Any, request: urllib.request.Request, timeout: Any = None) -> _Answer:
        method, headers = request.get_method(), dict(request.header_items())
        try:
            answer = self._session.request(
                method,
                request.full_url,
                data=cast("bytes | None", request.data),
                headers=headers,
                timeout=timeout or self.timeout,
                allow_redirects=False,
            )
        except exceptions.RequestException as error:
            raise http.unanswered(error, partner=PARTNER, method=method) from None
        if not 200 <= answer.status_code < 300:
            raise refusal(answer.status_code, answer.headers, method=method, now_s=time.time())
        return _Answer(answer)


class _Answer:
    """A `requests` answer under the names of urllib's that the SDK reads."""

    def __init__(self, answer: requests.Response) -> None:
        self.getcode = lambda: answer.status_code
        self.read = lambda: answer.content
        self.info = lambda: answer.headers


def refusal(status: int, headers: Mapping[str, str], *, method: str, now_s: float) -> IntegrationError:
    """Return what SendGrid's error answer means. Its body may repeat the address, so it is not kept.

    `now_s`: seconds since 1970, to read X-RateLimit-Reset.
    """
    code = f"sendgrid:http-{status}"
    if status in (401, 403):
        return Transient("our account is not allowed to send this", code=code, retry_after_s=OURS_RETRY_S)
    reset = headers.get("X-RateLimit-Reset", "")
    if status == 429 and reset.isascii() and reset.isdigit():
        wait = min(max(float(reset[:12]) - now_s, 1.0), http.LONGEST_WAIT_S)
        return Transient("too many requests", code=code, retry_after_s=wait)
    if status >= 500:
        return Unknown(f"HTTP {status}", code=code)
    return http.refused(status, headers, partner=PARTNER, method=method)
