"""Holds the SendGrid transport to the port's contract over a real socket, and each answer to its sort."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.doubles.sendgrid import SendGridDouble, SentEmail, errors
from integrations.email import Found
from integrations.email.sendgrid import SendGridEmail, refusal
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown
from tests.integrations.email.contract import MAIL, TO, EmailContract, Files, Seen, lost

KEY = "SG.key-that-must-not-be-logged"
SENDER = "clinic@example.org"


@pytest.fixture
def double() -> Iterator[SendGridDouble]:
    with SendGridDouble() as running:
        yield running


def client(url: str, **over: Any) -> SendGridEmail:
    return SendGridEmail(**{"api_key": KEY, "sender": SENDER, "base_url": url, "timeout_s": (5.0, 5.0), **over})


class TestSendGrid(EmailContract):
    @pytest.fixture
    def transport(self, double: SendGridDouble) -> SendGridEmail:
        self.double = double
        return client(double.url, activity_feed=True)

    def seen(self) -> list[Seen]:
        return [as_seen(mail) for mail in self.double.sent]

    def files(self) -> Files:
        [mail] = self.double.sent
        return list(mail.attachments)

    def take_away(self) -> None:
        self.double.__exit__()


def as_seen(mail: SentEmail) -> Seen:
    unsubscribe, post = (mail.headers.get(name, "") for name in ("List-Unsubscribe", "List-Unsubscribe-Post"))
    return Seen(mail.to, mail.subject, mail.text, mail.html, mail.attempt_id, unsubscribe, post, mail.reply_to)


def test_the_id_is_sendgrids_and_the_key_goes_in_the_header(double: SendGridDouble) -> None:
    message_id = client(double.url).send(MAIL)
    [sent] = double.sent
    assert (message_id, sent.sender) == (sent.message_id, SENDER)
    assert double.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_nobody_tracks_what_a_patient_opens(double: SendGridDouble) -> None:
    client(double.url).send(MAIL)
    tracking = double.sent[0].payload["tracking_settings"]
    assert tracking["click_tracking"] == {"enable": False, "enable_text": False}
    assert tracking["open_tracking"]["enable"] is False


@pytest.mark.parametrize(
    ("status", "sort"),
    [
        *((status, Permanent) for status in (301, 400, 404, 413)),
        *((status, Misconfigured) for status in (401, 403)),
        (429, Transient),
        *((status, Unknown) for status in (500, 502, 503)),
    ],
)
def test_each_answer_has_its_sort(double: SendGridDouble, status: int, sort: type[IntegrationError]) -> None:
    double.fail_next(status, errors(f"no: {TO}"), headers={"Location": double.url + "/v3/mail/send"})
    with pytest.raises(IntegrationError) as raised:
        client(double.url).send(MAIL)
    assert type(raised.value) is sort
    assert raised.value.code == f"sendgrid:http-{status}"
    assert TO not in str(raised.value)
    assert (len(double.requests), double.sent) == (1, [])


@pytest.mark.parametrize("how", [{"drop": True, "accepted": True}, {"hang_s": 60.0}, {"status": 202}], ids=str)
def test_whatever_leaves_it_open_whether_it_was_sent_is_unknown(double: SendGridDouble, how: dict[str, Any]) -> None:
    double.fail_next(**how)
    with pytest.raises(Unknown):
        client(double.url, timeout_s=(5.0, 0.3 if "hang_s" in how else 5.0)).send(MAIL)
    assert len(double.arrived(1)) == 1, "never sent twice"


def test_too_many_requests_wait_until_the_limit_is_lifted() -> None:
    error = refusal(429, {"X-RateLimit-Reset": "1000060"}, method="POST", now_s=1_000_000.0)
    assert isinstance(error, Transient)
    assert error.retry_after_s == 60.0


@pytest.mark.parametrize(("reset", "seconds"), [("5", 1.0), ("9" * 30, 86_400.0), ("soon", None)])
def test_a_strange_limit_is_read_with_care(reset: str, seconds: float | None) -> None:
    error = refusal(429, {"X-RateLimit-Reset": reset}, method="POST", now_s=time.time())
    assert isinstance(error, Transient)
    assert error.retry_after_s == seconds


def test_connections_are_kept_and_calls_leave_nothing_behind(double: SendGridDouble) -> None:
    transport = client(double.url)
    transport.send(MAIL)
    transport.send(MAIL)
    first, second = ({**request.headers} for request in double.requests)
    assert double.connections == 1
    assert first == second


@pytest.mark.parametrize(
    "over", [{"api_key": "SG.key\n"}, {"api_key": "SG.k\u00ebY\u2028"}, {"sender": ""}, {"sender": "nobody"}], ids=repr
)
def test_a_key_or_a_sender_that_is_none_is_refused_at_the_start(over: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="SendGrid"):
        client("http://127.0.0.1:9", **over)


def test_only_this_machine_may_stand_in_for_sendgrid() -> None:
    with pytest.raises(ValueError, match="this machine"):
        client("https://sendgrid.example.org")
    client("https://api.eu.sendgrid.com", allow_any_host=True)


@pytest.mark.parametrize("refused", [False, True])
def test_no_address_body_or_key_reaches_the_log(
    double: SendGridDouble, caplog: pytest.LogCaptureFixture, refused: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    transport = client(double.url)
    if refused:
        double.fail_next(400, errors(f"no: {TO}"))
        with pytest.raises(Permanent):
            transport.send(MAIL)
    else:
        transport.send(MAIL)
    assert [word for word in (TO, "visit", KEY) if word in caplog.text] == []


def test_without_the_activity_feed_a_lost_mail_cannot_be_looked_for(double: SendGridDouble) -> None:
    transport = client(double.url)
    assert not transport.can_find
    with pytest.raises(Unknown):
        transport.find(lost())
    assert double.requests == []


@pytest.mark.parametrize("attempt_id", ['a" OR "1"="1', "a b", "é", "a\n"])
def test_an_attempt_that_would_change_the_question_is_not_asked_for(double: SendGridDouble, attempt_id: str) -> None:
    with pytest.raises(Unknown):
        client(double.url, activity_feed=True).find(lost(attempt_id))
    assert double.requests == []


@pytest.mark.parametrize("status", [400, 404])
def test_a_question_it_does_not_take_leaves_open_what_became_of_the_mail(double: SendGridDouble, status: int) -> None:
    double.fail_next(status, errors("no"), method="GET")
    with pytest.raises(Unknown):
        client(double.url, activity_feed=True).find(lost())


@pytest.mark.parametrize("word", ["processed", "delivered", "not_delivered"])
def test_a_mail_that_is_found_says_how_far_it_has_come(double: SendGridDouble, word: str) -> None:
    double.activity = word
    transport = client(double.url, activity_feed=True)
    assert transport.find(lost()) is None
    message_id = transport.send(MAIL)
    assert transport.find(lost()) == Found(message_id, word)


@pytest.mark.parametrize(
    "how",
    [{"status": 500}, {"status": 429}, {"drop": True}, *({"status": 200, "body": body} for body in ({}, [1], b"no"))],
    ids=str,
)
def test_a_question_without_an_answer_is_asked_again_later(double: SendGridDouble, how: dict[str, Any]) -> None:
    double.fail_next(**how, method="GET")
    with pytest.raises(Transient):
        client(double.url, activity_feed=True).find(lost())
