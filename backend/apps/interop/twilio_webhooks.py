"""Where Twilio reports what became of a text and hands over what patients answer; without it "delivered" is a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from backend.apps.interop.webhook_door import Refused, clean, keep, storable, webhook
from backend.apps.messaging.models import ProviderEvent
from integrations.sms.twilio_webhooks import InboundSms, StatusReport, verify

TWILIO = "twilio"
MOST_BYTES, MOST_FIELDS = 64 * 1024, 200
FORM = "application/x-www-form-urlencoded"
NO_ANSWER = "<Response/>"  # to STOP, START and HELP Twilio answers itself


@webhook(TWILIO, most_bytes=MOST_BYTES)
def status(request: HttpRequest, body: bytes) -> HttpResponse:
    """Keep what became of one text. `?a=` names the try of ours that it is about."""
    form = _form(request, body)
    report = StatusReport.read(form)
    _refuse_others(report.account_sid)
    error = "" if report.error_code is None else str(report.error_code)
    _keep(
        form,
        kind="status",
        dedupe_key=clean(f"twilio:{report.message_id}:{report.provider_status}:{error}", 160),
        attempt_id=clean(request.GET.get("a", ""), 60),
        message_id=report.message_id,
        provider_status=clean(report.provider_status, 30),
        error_code=error,
    )
    return HttpResponse(status=204)


@webhook(TWILIO, most_bytes=MOST_BYTES)
def inbound(request: HttpRequest, body: bytes) -> HttpResponse:
    """Keep what somebody texted; a worker reads it."""
    form = _form(request, body)
    text = InboundSms.read(form)
    _refuse_others(text.account_sid)
    _keep(_said(text), kind="inbound", dedupe_key=f"twilio-in:{text.message_id}", message_id=text.message_id)
    return HttpResponse(NO_ANSWER, content_type="text/xml")


def _form(request: HttpRequest, body: bytes) -> dict[str, str]:
    """Return the fields of a call that Twilio signed.

    It signs the address it was given. So that address is built from our settings: what a proxy makes of host, port and
    scheme on the way does not matter.
    """
    if request.content_type != FORM:
        raise Refused("not a form")
    pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    url = settings.PUBLIC_BASE_URL + request.get_full_path()
    if not verify(url, pairs, request.headers.get("X-Twilio-Signature"), settings.TWILIO_TOKENS):
        raise Refused("not signed by Twilio with a token of ours")
    return dict(pairs)


def _refuse_others(account_sid: str) -> None:
    account = settings.TWILIO_ACCOUNT_SID or settings.SANDBOX_ACCOUNT
    if not account or account_sid != account:
        raise Refused("for another account")


def _said(text: InboundSms) -> dict[str, Any]:
    """Return what is kept of a text, in Twilio's names: of pictures only how many there were, not where they are."""
    return {
        "From": text.sender,
        "To": text.to,
        "Body": text.body,
        "OptOutType": text.opt_out_type,
        "NumMedia": text.media,
    }


def _keep(form: Mapping[str, Any], **fields: str) -> None:
    keep([ProviderEvent(provider=TWILIO, payload=storable(form), **fields)])
