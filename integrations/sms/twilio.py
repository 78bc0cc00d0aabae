"""Sends texts through Twilio's own SDK, with its transport made strict: a timeout, one try, every failure sorted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from twilio.rest.api.v2010.account.message import MessageInstance

from integrations import http
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown
from integrations.sms import Found, LostSms, MessageStatus, Sms, body_sha256, twilio_codes

PARTNER = "twilio"
SDK_LOGGERS = ("twilio.http_client",)  # at INFO it writes phone numbers
UNREADABLE = (TwilioException, TypeError, AttributeError)  # what the SDK raises over a list of another shape
LONGEST_VALIDITY_S = 36_000  # ValidityPeriod, at least 1
PAGE = 100  # messages; on the first, without a date, stand those that Twilio has not sent yet
MOST = 1_000  # messages to one number since a text was lost


class TwilioSms:
    """One instance per thread: the SDK keeps the last answer in a shared place.

    sender: a number in E.164, or the SID of a messaging service ("MG...").
    callback_url: where Twilio reports the status; the attempt id is added as `a`. Empty: no reports.
    base_url: another server than Twilio's, for tests and rehearsals; only this machine unless `allow_any_host`.
    """

    can_find = True

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
        if not account_sid.isalnum() or not auth_token:
            raise ValueError("the account of Twilio is none: its SID or token is missing or has a strange character")
        for name in SDK_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        base = http.checked_base_url(base_url, allow_any_host=allow_any_host) if base_url else ""
        self._client = Client(account_sid, auth_token, http_client=StrictHttpClient(base, timeout_s))
        self._sender = {"messaging_service_sid" if sender.startswith("MG") else "from_": sender}
        self._callback_url = callback_url

    def send(self, sms: Sms) -> str:
        """See `SmsTransport.send`; returns the message's SID."""
        extra: dict[str, Any] = dict(self._sender)
        if self._callback_url:
            joint = "&" if urlsplit(self._callback_url).query else "?"
            extra["status_callback"] = f"{self._callback_url}{joint}a={quote(sms.attempt_id, safe='')}"
        if sms.valid_for_s is not None:
            extra["validity_period"] = min(max(sms.valid_for_s, 1), LONGEST_VALIDITY_S)
        message = self._client.messages.create(to=sms.to, body=sms.body, **extra)
        if not isinstance(message.sid, str):
            raise Unknown("accepted, but the answer names no message", code="twilio:unreadable")
        return message.sid

    def find(self, lost: LostSms) -> Found | None:
        """See `SmsTransport.find`.

        Known by its text, or, when Twilio wrote other characters for ours (smart encoding), by being the only one while
        no other is looked for. Of several with the same text the first is taken: each of them is one that was sent.
        """
        candidates = [
            (body_sha256(message.body or ""), message) for message in self._since(lost) if self._may_be(message, lost)
        ]
        same = [message for digest, message in candidates if digest == lost.body_sha256]
        strange = [message for digest, message in candidates if digest not in lost.others]
        if not same and (len(strange) > 1 or (strange and lost.others)):
            raise Unknown(f"one of {len(strange)} messages, or none of them", code="twilio:several")
        if not (same or strange):
            return None
        first = min(same or strange, key=lambda message: message.date_created)
        return Found(str(first.sid), _as_status(first))

    def status(self, message_id: str) -> MessageStatus:
        """See `SmsTransport.status`."""
        return _as_status(self._client.messages(message_id).fetch())

    def _since(self, lost: LostSms) -> Iterable[MessageInstance]:
        """Return what was sent to the number since: the filter counts in days, and passes over what is still queued."""
        list_of = self._client.messages.list
        try:
            dated = list_of(to=lost.to, date_sent_after=lost.sent_after.astimezone(UTC), page_size=PAGE, limit=MOST)
            newest = list_of(to=lost.to, page_size=PAGE, limit=PAGE)
        except UNREADABLE:
            raise Transient("a list that cannot be read", code="twilio:unreadable") from None
        except Permanent as error:
            raise Unknown("a question it does not take", code=error.code) from None
        return {message.sid: message for message in (*dated, *newest)}.values()

    def _may_be(self, message: MessageInstance, lost: LostSms) -> bool:
        ours = {message.from_, message.messaging_service_sid} & set(self._sender.values())
        return bool(
            ours
            and message.direction == "outbound-api"
            and isinstance(message.date_created, datetime)
            and message.date_created >= lost.sent_after - timedelta(seconds=1)  # Twilio's are whole seconds
            and message.sid not in lost.taken
        )


class StrictHttpClient(HttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's transport on ours: returns good answers only, everything else is sorted and raised here."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        super().__init__(logging.getLogger(SDK_LOGGERS[0]), False, timeout_s)
        self._http = http.Http(partner=PARTNER, timeout_s=(min(timeout_s, http.TIMEOUT_S[0]), timeout_s))
        self._base_url = base_url

    def request(  # noqa: PLR0917  # the SDK calls it so
        self,
        method: str,
        uri: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        url = self._rebased(uri, params or {})
        whole = {**(headers or {}), **({"Authorization": http.basic_auth(*auth)} if auth else {})}
        body = urlencode(data, doseq=True).encode() if data else None
        answer = self._http.exchange(method, url, headers=whole, body=body)
        text = answer.body.decode("utf-8", "replace")
        document = _document(text)
        if not 200 <= answer.status < 300:
            raise refusal(answer.status, document, answer.headers, method=method)
        if not document:
            raise http.unanswered(PARTNER, method)
        return Response(answer.status, text, answer.headers)

    def _rebased(self, uri: str, params: Mapping[str, Any]) -> str:
        """Return the URL on our base; pages that Twilio names by their whole URL are brought there too."""
        if self._base_url:
            parts = urlsplit(uri)
            uri = f"{self._base_url}{parts.path}{'?' if parts.query else ''}{parts.query}"
        if not params:
            return uri
        return f"{uri}{'&' if '?' in uri else '?'}{urlencode(params, doseq=True)}"


def refusal(status: int, document: Mapping[str, Any], headers: Mapping[str, str], *, method: str) -> IntegrationError:
    """Return what Twilio's error answer means. Its own message may repeat the number, so only the code is kept."""
    number = document.get("code")
    if not isinstance(number, int):  # not written by Twilio's application: a proxy, or a crash half way
        if status == 503 and method.upper() not in http.SAFE:
            return Unknown("HTTP 503 without a reason", code="twilio:http-503")
        if status in (401, 403):
            return Misconfigured("our account is not allowed to", code=f"twilio:http-{status}")
        return http.refused(status, headers, partner=PARTNER, method=method)
    wait = http.retry_after_s(headers, now=datetime.now(UTC))
    if number not in twilio_codes.SORTS and status in (401, 403):
        return Misconfigured("our account is not allowed to", code=f"twilio:{number}")
    if number not in twilio_codes.SORTS and (status == 429 or status >= 500):
        return Transient("refused for now", code=f"twilio:{number}", retry_after_s=wait)
    return twilio_codes.error_for(number, retry_after_s=wait)


def _as_status(message: MessageInstance) -> MessageStatus:
    word, code = str(message.status), _number(message.error_code)
    return MessageStatus(word, code, _number(message.num_segments) or 0, twilio_codes.status_of(word, code))


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def _document(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`; nothing when it is not one."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
