"""Sends texts through Twilio's own SDK, with its transport made strict: a timeout, one try, every failure sorted."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from requests import exceptions
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from integrations import http
from integrations.errors import IntegrationError, Permanent, Transient, Unknown
from integrations.sms import Sms

PARTNER = "twilio"
SDK_LOGGERS = ("twilio.http_client",)  # at INFO it writes phone numbers

# Twilio error dictionary. Codes of neither table are the message's or the number's own fault: Permanent.
PASSING = frozenset({20429, 20500, 20503, 21611, 30001, 30003, 30008})
OURS = frozenset({20003, 20005, 20403, 21408, 21606, 21612, 30002})  # account, sender, permission: a person must act
OURS_RETRY_S = 300.0  # nothing was sent, and nothing will be until our configuration is right


class TwilioSms:
    """One instance per thread: the SDK keeps the last answer in a shared place.

    sender: a number in E.164, or the SID of a messaging service ("MG...").
    callback_url: where Twilio reports the status; the attempt id is added as `a`. Empty: no reports.
    base_url: another server than Twilio's, for tests and rehearsals; only this machine unless `allow_any_host`.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        sender: str,
        callback_url: str = "",
        base_url: str = "",
        allow_any_host: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        for name in SDK_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        base = http.checked_base_url(base_url, allow_any_host=allow_any_host) if base_url else ""
        self._client = Client(account_sid, auth_token, http_client=StrictHttpClient(base, timeout_s))
        self._sender = {"messaging_service_sid" if sender.startswith("MG") else "from_": sender}
        self._callback_url = callback_url

    def send(self, sms: Sms) -> str:
        """See `SmsTransport.send`; returns the message's SID."""
        extra: dict[str, str] = dict(self._sender)
        if self._callback_url:
            joint = "&" if urlsplit(self._callback_url).query else "?"
            extra["status_callback"] = f"{self._callback_url}{joint}a={quote(sms.attempt_id, safe='')}"
        message = self._client.messages.create(to=sms.to, body=sms.body, **extra)
        return str(message.sid)


class StrictHttpClient(TwilioHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's transport over one session: returns good answers only, everything else is sorted and raised here."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s)
        self.session = http.session()
        self._base_url = base_url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        if self._base_url:
            parts = urlsplit(url)
            url = self._base_url + parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            answer = super().request(method, url, *args, **kwargs)
        except exceptions.RequestException as error:
            raise http.unanswered(error, partner=PARTNER, method=method) from None
        document = _document(answer.text)
        if not 200 <= answer.status_code < 300:
            raise refusal(answer.status_code, document, answer.headers or {}, method=method)
        if not document:
            raise Unknown("accepted, but the answer cannot be read", code="twilio:unreadable")
        return answer


def refusal(status: int, document: dict[str, Any], headers: Any, *, method: str) -> IntegrationError:
    """Return what Twilio's error answer means. Its own message may repeat the number, so only the code is kept."""
    number = document.get("code")
    if not isinstance(number, int):  # not written by Twilio's application: a proxy, or a crash half way
        if status == 503:
            return Unknown("HTTP 503 without a reason", code="twilio:http-503")
        return http.refused(status, headers, partner=PARTNER, method=method)
    code = f"twilio:{number}"
    if number in OURS or status in (401, 403):
        return Transient("our account or sender is not set up for this", code=code, retry_after_s=OURS_RETRY_S)
    if number in PASSING or status == 429 or status >= 500:
        wait = http.retry_after_s(headers, now=datetime.now(UTC))
        return Transient("refused for now", code=code, retry_after_s=wait)
    return Permanent("refused", code=code)


def _document(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`; nothing when it is not one."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
