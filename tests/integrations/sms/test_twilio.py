"""Holds the Twilio transport to the port's contract over a real socket, and each error code to its sort."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from integrations.doubles.twilio import TwilioDouble, error
from integrations.errors import (
    BadAddress,
    Blocked,
    Expired,
    IntegrationError,
    Misconfigured,
    OptedOut,
    Permanent,
    Transient,
    Unknown,
)
from integrations.sms import Sms
from integrations.sms.twilio import TwilioSms
from tests.integrations.sms.contract import BODY, TO, SmsContract

TOKEN = "token-that-must-not-be-logged"
SENDER = "+14155550199"
CALLBACK = "https://relay.example.org/hooks/twilio/status/"
SMS = Sms(TO, BODY, "018f.1")


@pytest.fixture
def double() -> Iterator[TwilioDouble]:
    with TwilioDouble() as running:
        yield running


def client(url: str, **over: Any) -> TwilioSms:
    options = {"account_sid": "AC" + "1" * 32, "auth_token": TOKEN, "sender": SENDER, "callback_url": CALLBACK}
    return TwilioSms(**{**options, "base_url": url, "timeout_s": 5.0, **over})


class TestTwilio(SmsContract):
    @pytest.fixture
    def transport(self, double: TwilioDouble) -> TwilioSms:
        self.double = double
        return client(double.url)

    def seen(self) -> list[tuple[str, str, str]]:
        return [(sms.to, sms.body, sms.attempt_id) for sms in self.double.sent]

    def take_away(self) -> None:
        self.double.__exit__()


@pytest.mark.parametrize("over", [{"account_sid": "AC1\n"}, {"account_sid": ""}, {"auth_token": ""}], ids=repr)
def test_an_account_that_is_none_is_refused_at_the_start(over: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="account"):
        client("http://127.0.0.1:9", **over)


def test_the_id_is_twilios_and_the_callback_carries_the_attempt(double: TwilioDouble) -> None:
    sid = client(double.url).send(SMS)
    [sent] = double.sent
    assert (sid, sent.sender) == (sent.sid, SENDER)
    assert sent.status_callback == f"{CALLBACK}?a=018f.1"


def test_the_attempt_joins_a_callback_that_has_a_query(double: TwilioDouble) -> None:
    client(double.url, callback_url=f"{CALLBACK}?clinic=7").send(SMS)
    assert parse_qs(urlsplit(double.sent[0].status_callback).query) == {"clinic": ["7"], "a": ["018f.1"]}


def test_without_a_callback_url_none_is_asked_for(double: TwilioDouble) -> None:
    client(double.url, callback_url="").send(SMS)
    assert "StatusCallback" not in double.sent[0].form


@pytest.mark.parametrize(
    ("wanted_s", "asked"), [(5400, "5400"), (0, "1"), (-60, "1"), (200_000, "36000"), (None, None)]
)
def test_r32_the_validity_period_is_set_within_what_twilio_takes(
    double: TwilioDouble, wanted_s: int | None, asked: str | None
) -> None:
    client(double.url).send(Sms(TO, BODY, "a", valid_for_s=wanted_s))
    assert double.sent[0].form.get("ValidityPeriod") == asked


def test_a_messaging_service_can_be_the_sender(double: TwilioDouble) -> None:
    client(double.url, sender="MG" + "2" * 32).send(SMS)
    assert double.sent[0].form["MessagingServiceSid"] == "MG" + "2" * 32
    assert "From" not in double.sent[0].form


@pytest.mark.parametrize(
    ("code", "status", "sort"),
    [
        *((code, 400, sort) for code, sort in ((21211, BadAddress), (21610, OptedOut), (30007, Blocked))),
        *((code, 400, sort) for code, sort in ((30036, Expired), (21602, Permanent), (21606, Misconfigured))),
        *((code, status, Transient) for code, status in ((21611, 429), (20503, 503), (99999, 500))),
        *((code, status, Misconfigured) for code, status in ((20003, 401), (99999, 403))),
    ],
)
def test_a_refusal_is_sorted_by_its_code_and_then_by_its_status(
    double: TwilioDouble, code: int, status: int, sort: type[IntegrationError]
) -> None:
    double.refuse_next(code, status=status)
    with pytest.raises(IntegrationError) as raised:
        client(double.url).send(SMS)
    assert (type(raised.value), raised.value.code) == (sort, f"twilio:{code}")
    assert (len(double.requests), double.sent) == (1, [])


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_refused_without_a_code_waits_for_a_person_too(double: TwilioDouble, status: int) -> None:
    double.fail_next(status, b"<html>no</html>")
    with pytest.raises(Misconfigured):
        client(double.url).send(SMS)


def test_our_own_misconfiguration_waits_for_a_person(double: TwilioDouble) -> None:
    double.refuse_next(20003, status=401)
    with pytest.raises(Transient) as raised:
        client(double.url).send(SMS)
    assert raised.value.retry_after_s == 300.0


def test_r28_too_many_requests_wait_as_long_as_twilio_asks(double: TwilioDouble) -> None:
    double.refuse_next(20429, status=429, headers={"Retry-After": "7"})
    with pytest.raises(Transient) as raised:
        client(double.url).send(SMS)
    assert raised.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    "how",
    [
        {"status": 500},
        {"status": 503},
        {"status": 502, "body": b"<html>Bad Gateway</html>"},
        {"status": 500, "body": ["not", "an", "object"]},
        {"drop": True, "accepted": True},
        {"hang_s": 60.0},
        {"status": 201, "body": b"<html>welcome to the hotel</html>"},
        {"status": 201, "body": b"null"},
        {"status": 201, "body": {"status": "queued"}},
    ],
    ids=str,
)
def test_whatever_leaves_it_open_whether_it_was_sent_is_unknown(double: TwilioDouble, how: dict[str, Any]) -> None:
    double.fail_next(**how)
    with pytest.raises(Unknown):
        client(double.url, timeout_s=0.3 if "hang_s" in how else 5.0).send(SMS)
    assert len(double.arrived(1)) == 1, "never sent twice"


def test_a_redirect_is_not_followed(double: TwilioDouble) -> None:
    double.fail_next(307, headers={"Location": double.url + "/2010-04-01/Accounts/AC1/Messages.json"})
    with pytest.raises(Permanent):
        client(double.url).send(SMS)
    assert len(double.requests) == 1


def test_one_bad_answer_does_not_spoil_the_next(double: TwilioDouble) -> None:
    transport = client(double.url)
    double.fail_next(drop=True)
    with pytest.raises(Unknown):
        transport.send(SMS)
    assert transport.send(SMS) == double.sent[0].sid


def test_connections_are_kept(double: TwilioDouble) -> None:
    transport = client(double.url)
    for number in range(5):
        transport.send(Sms(TO, BODY, f"{number}"))
    assert double.connections == 1


def test_threads_with_a_client_each_get_their_own_ids(double: TwilioDouble) -> None:
    answers: dict[str, str] = {}

    def work(thread: int) -> None:
        transport = client(double.url, timeout_s=10.0)
        for number in range(20):
            answers[f"{thread}.{number}"] = transport.send(Sms(TO, BODY, f"{thread}.{number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {sms.attempt_id: sms.sid for sms in double.sent} == answers
    assert len(answers) == 80


def test_only_this_machine_may_stand_in_for_twilio() -> None:
    with pytest.raises(ValueError, match="this machine"):
        client("https://twilio.example.org")
    client("https://twilio.example.org", allow_any_host=True)


def test_the_sdks_own_log_of_requests_is_shut(double: TwilioDouble, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="twilio.http_client")
    client(double.url)
    assert not logging.getLogger("twilio.http_client").isEnabledFor(logging.INFO), "it writes numbers at INFO"


@pytest.mark.parametrize("refused", [False, True])
def test_no_number_body_or_key_reaches_the_log_or_the_error(
    double: TwilioDouble, caplog: pytest.LogCaptureFixture, refused: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    transport = client(double.url)
    answer = {**error(21211, 400), "message": f"The 'To' number {TO} is not valid: {BODY}"}
    if refused:
        double.fail_next(400, answer)
        with pytest.raises(Permanent) as raised:
            transport.send(SMS)
        assert TO not in str(raised.value)
        assert raised.value.__cause__ is None
    else:
        transport.send(SMS)
    told = caplog.text + json.dumps([str(record.args) for record in caplog.records])
    assert [word for word in (TO, TO[1:], "visit", TOKEN) if word in told] == []
