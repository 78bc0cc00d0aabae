"""Holds the door that Twilio's calls come in by: forged, changed and nonsense ones stay out, and the rest is read."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import pytest

from integrations.doubles.twilio import TwilioDouble, inbound_form, sign, status_form
from integrations.errors import Permanent
from integrations.sms import twilio_codes
from integrations.sms.twilio_webhooks import InboundSms, StatusReport, verify

TOKEN, OLD_TOKEN = "the-new-token", "the-old-token"
URL = "https://relay.example.org/webhooks/twilio/status?a=018f.1"
FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "Body": "sí 👍 & more", "To": "+14155550123"}


def test_what_twilio_signed_is_let_in_whatever_the_order_of_its_fields() -> None:
    signature = sign(URL, FORM, TOKEN)
    assert verify(URL, FORM, signature, [TOKEN])
    assert verify(URL, list(reversed(FORM.items())), signature, [TOKEN])


def test_a_field_that_comes_twice_is_signed_with_both_values() -> None:
    text = URL + "A1" + "A2" + "B3"
    signature = base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
    assert verify(URL, [("B", "3"), ("A", "2"), ("A", "1")], signature, [TOKEN])
    assert not verify(URL, [("B", "3"), ("A", "2")], signature, [TOKEN])


def test_both_tokens_are_good_while_they_are_exchanged() -> None:
    assert verify(URL, FORM, sign(URL, FORM, OLD_TOKEN), [TOKEN, OLD_TOKEN])
    assert not verify(URL, FORM, sign(URL, FORM, OLD_TOKEN), [TOKEN])


@pytest.mark.parametrize("signature", [None, "", "no base64 !", "é" * 28, "\ud800", "A" * 28])
def test_a_missing_or_strange_signature_stays_out(signature: str | None) -> None:
    assert not verify(URL, FORM, signature, [TOKEN])


@pytest.mark.parametrize("tokens", [[], [""], ["", ""]])
def test_without_a_token_of_ours_nobody_comes_in(tokens: list[str]) -> None:
    assert not verify(URL, FORM, sign(URL, FORM, ""), tokens)


@pytest.mark.parametrize(
    "form",
    [
        {**FORM, "MessageStatus": "failed"},
        {**FORM, "More": "1"},
        {"MessageSid": "SM1"},
        {},
        {"\ud800": "1"},
        {"A": None},
    ],
    ids=repr,
)
def test_a_changed_form_stays_out(form: dict[str, Any]) -> None:
    assert not verify(URL, form, sign(URL, FORM, TOKEN), [TOKEN])


@pytest.mark.parametrize(
    "url",
    ["http://relay.example.org/webhooks/twilio/status?a=018f.1", URL + "&b=1", URL[:-1], "https://[", "https://a:b"],
)
def test_a_call_to_another_address_stays_out(url: str) -> None:
    assert not verify(url, FORM, sign(URL, FORM, TOKEN), [TOKEN])


def test_a_signature_of_a_json_body_is_not_one_of_a_form() -> None:
    url = URL + "&" + urlencode({"bodySHA256": hashlib.sha256(b"{}").hexdigest()})
    assert not verify(url, {}, sign(url, {}, TOKEN), [TOKEN])


def test_a_status_report_is_read_in_twilios_words() -> None:
    with TwilioDouble() as double:
        sms = double.place({"To": "+14155550123", "From": "+14155550199", "Body": "hello"})
    form = status_form(sms, "undelivered", error_code=30005)
    report = StatusReport.read(form)
    assert verify(URL, form, sign(URL, form, TOKEN), [TOKEN])
    assert report == StatusReport(sms.sid, "AC" + "0" * 32, "undelivered", 30005)
    said = (report.provider_status, report.error_code)
    assert (twilio_codes.status_of(*said), twilio_codes.sort_name(report.error_code)) == ("bounced", "bad_address")


def test_a_word_twilio_has_not_used_before_is_kept_and_changes_nothing() -> None:
    report = StatusReport.read({**FORM, "MessageStatus": "teleported", "ErrorCode": "soon"})
    assert (report.provider_status, report.error_code) == ("teleported", None)
    assert (twilio_codes.status_of("teleported"), twilio_codes.flag_of("teleported")) == (None, "unknown")


@pytest.mark.parametrize(
    "form", [{}, {"MessageSid": "SM1"}, {"MessageStatus": "sent"}, {**FORM, "MessageSid": "SM1\n"}], ids=repr
)
def test_a_report_without_a_message_or_a_status_is_permanent(form: dict[str, str]) -> None:
    with pytest.raises(Permanent):
        StatusReport.read(form)


def test_an_answer_is_read_and_does_not_print_who_wrote_what() -> None:
    form = inbound_form("+14155550123", "+14155550199", "Stop", OptOutType="stop", NumMedia="1")
    inbound = InboundSms.read(form)
    assert (inbound.message_id, inbound.sender, inbound.body) == (form["MessageSid"], "+14155550123", "Stop")
    assert (inbound.to, inbound.opt_out_type, inbound.media) == ("+14155550199", "STOP", 1)
    assert "0123" not in repr(inbound)
    assert "Stop" not in repr(inbound)


def test_an_answer_may_be_empty_but_not_nobodys() -> None:
    assert InboundSms.read({"MessageSid": "SM1", "From": "+14155550123"}).body == ""
    with pytest.raises(Permanent):
        InboundSms.read({"MessageSid": "SM1"})
