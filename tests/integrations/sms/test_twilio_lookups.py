"""Holds which of Twilio's messages a lost text is taken for: one wrong guess texts a patient twice, or never."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.doubles.twilio import SentSms, TwilioDouble, error
from integrations.errors import Permanent, Transient, Unknown
from integrations.sms.twilio import TwilioSms
from tests.integrations.sms.contract import BODY, TO, lost

SENDER = "+14155550199"
NOW = datetime.now(UTC)


@pytest.fixture
def double() -> Iterator[TwilioDouble]:
    with TwilioDouble() as running:
        yield running


@pytest.fixture
def transport(double: TwilioDouble) -> TwilioSms:
    return TwilioSms(account_sid="AC1", auth_token="x", sender=SENDER, base_url=double.url, timeout_s=5.0)


def placed(double: TwilioDouble, body: str = BODY, *, to: str = TO, sender: str = SENDER, **more: Any) -> SentSms:
    return double.place({"To": to, "From": sender, "Body": body}, **more)


def test_it_is_known_by_its_text_among_others_to_the_same_number(double: TwilioDouble, transport: TwilioSms) -> None:
    placed(double, "another text")
    wanted = placed(double)
    placed(double, "one more")
    found = transport.find(lost())
    assert found is not None
    assert found.message_id == wanted.sid


def test_one_that_twilio_has_not_sent_yet_is_found(double: TwilioDouble, transport: TwilioSms) -> None:
    wanted = placed(double, sent_at=None)
    found = transport.find(lost())
    assert found is not None
    assert (found.message_id, found.status.provider_status) == (wanted.sid, "queued")


def test_every_page_is_read(double: TwilioDouble, transport: TwilioSms) -> None:
    wanted = placed(double)
    taken = tuple(placed(double).sid for _ in range(120))
    found = transport.find(lost(taken=taken))
    assert found is not None
    assert found.message_id == wanted.sid


def test_the_only_one_is_it_though_twilio_wrote_other_characters(double: TwilioDouble, transport: TwilioSms) -> None:
    wanted = placed(double, BODY.replace("«", '"'))
    found = transport.find(lost())
    assert found is not None
    assert found.message_id == wanted.sid


def test_of_two_with_other_texts_none_is_guessed(double: TwilioDouble, transport: TwilioSms) -> None:
    placed(double, "another text")
    placed(double, "one more")
    with pytest.raises(Unknown) as raised:
        transport.find(lost())
    assert raised.value.code == "twilio:several"


def test_of_two_with_the_same_text_the_first_is_taken(double: TwilioDouble, transport: TwilioSms) -> None:
    first, second = placed(double, created_at=datetime.now(UTC) - timedelta(seconds=9)), placed(double)
    found = transport.find(lost())
    assert found is not None
    assert found.message_id == first.sid
    again = transport.find(lost(taken=(first.sid,)))
    assert again is not None
    assert again.message_id == second.sid


@pytest.mark.parametrize(
    "strange",
    [
        {"direction": "inbound"},
        {"direction": "outbound-reply"},
        {"created_at": NOW - timedelta(minutes=5)},
        {"sender": "+14155550100"},
        {"to": "+14155550124"},
    ],
    ids=["inbound", "a reply", "before we began", "another sender", "another number"],
)
def test_what_cannot_be_ours_is_passed_over(
    double: TwilioDouble, transport: TwilioSms, strange: dict[str, Any]
) -> None:
    placed(double, **strange)
    assert transport.find(lost()) is None


def test_a_messaging_service_knows_its_own_before_they_have_a_number(double: TwilioDouble) -> None:
    service = "MG" + "2" * 32
    transport = TwilioSms(account_sid="AC1", auth_token="x", sender=service, base_url=double.url, timeout_s=5.0)
    wanted = double.place({"To": TO, "MessagingServiceSid": service, "Body": BODY}, sent_at=None)
    found = transport.find(lost())
    assert found is not None
    assert (found.message_id, found.status.segments) == (wanted.sid, 0)


@pytest.mark.parametrize(
    "how", [{"status": 500}, {"status": 503}, {"drop": True}, {"status": 200, "body": {"what": 1}}], ids=str
)
def test_a_question_without_an_answer_is_asked_again_later(
    double: TwilioDouble, transport: TwilioSms, how: dict[str, Any]
) -> None:
    double.fail_next(**how, method="GET")
    with pytest.raises(Transient) as raised:
        transport.find(lost())
    assert TO[1:] not in str(raised.value)


@pytest.mark.parametrize("status", [400, 404])
def test_a_question_it_does_not_take_leaves_open_what_became_of_the_text(
    double: TwilioDouble, transport: TwilioSms, status: int
) -> None:
    double.fail_next(status, error(20404, status), method="GET")
    with pytest.raises(Unknown):
        transport.find(lost())


@pytest.mark.parametrize(
    ("word", "code", "ours"),
    [
        ("sending", None, "sent"),
        ("delivered", None, "delivered"),
        ("undelivered", 30005, "bounced"),
        ("odd", None, None),
    ],
)
def test_what_became_of_a_message_can_be_asked(
    double: TwilioDouble, transport: TwilioSms, word: str, code: int | None, ours: str | None
) -> None:
    sid = placed(double).sid
    double.change(sid, status=word, error_code=code)
    status = transport.status(sid)
    assert (status.provider_status, status.error_code, status.segments, status.status) == (word, code, 1, ours)


def test_a_message_twilio_does_not_have_is_permanent(transport: TwilioSms) -> None:
    with pytest.raises(Permanent) as raised:
        transport.status("SM" + "0" * 32)
    assert raised.value.code == "twilio:20404"
