"""Proves that partners of a day of faults do what was planned, the same again from a seed, and refuse as they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from integrations.doubles import sendgrid, twilio
from integrations.doubles.sendgrid import SendGridDouble
from integrations.doubles.trouble import Trouble, kinds
from integrations.doubles.twilio import TwilioDouble
from integrations.email import Email
from integrations.email.sendgrid import SendGridEmail
from integrations.errors import Misconfigured, Transient, Unknown
from integrations.http import Answer, Http
from integrations.sms import Sms
from integrations.sms.twilio import TwilioSms

KINDS = kinds(twilio.refusal)
MAIL = Email(to="pat@example.org", subject="x", text="x", attempt_id="row.1")
ACCOUNT, TO, FROM = f"AC{'0' * 32}", "+14155550123", "+14155550199"


def planned(seed: str, *, requests: int = 100, share: float = 0.12) -> Trouble:
    return Trouble(seed, KINDS, requests=requests, share=share, most=15, tell=lambda _: None)


def test_the_same_seed_plans_the_same_faults_and_another_one_others() -> None:
    assert planned("1 Twilio").planned == planned("1 Twilio").planned
    assert planned("1 Twilio").planned != planned("2 Twilio").planned


@pytest.mark.parametrize("seed", range(5))
def test_each_kind_of_fault_comes_once_however_few_come_at_all(seed: int) -> None:
    for requests, faults in ((5, 5), (20, 5), (100, 12), (1000, 15)):
        trouble, told = planned(f"{seed}", requests=requests), list[str]()
        trouble._tell = told.append
        for _ in range(requests):
            trouble("POST")
        assert set(told) == set(KINDS)
        assert (len(told), trouble.counts.total(), trouble.planned, trouble.left_out) == (faults, faults, {}, [])


def test_what_did_not_come_and_what_there_was_no_room_for_is_known() -> None:
    trouble = planned("7", requests=3)
    assert len(trouble.planned) == 3
    assert {*trouble.planned.values(), *trouble.left_out} == set(KINDS)
    trouble("POST")
    assert len(trouble.planned) == 2


def test_what_only_asks_is_answered() -> None:
    trouble = planned("1", requests=1)
    assert trouble("GET").answer is None
    assert not trouble.counts


def post(double: TwilioDouble, **form: str) -> Answer:
    whole = urlencode({"To": TO, "From": FROM, "Body": "x", **form}).encode()
    path = f"{double.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    return Http(partner="twilio").exchange("POST", path, headers={}, body=whole)


def text(url: str, key: str = "right") -> str:
    return TwilioSms(account_sid=ACCOUNT, auth_token=key, sender=FROM, base_url=url).send(Sms(TO, "x", "row.1"))


def mail(url: str, key: str = "right") -> str:
    transport = SendGridEmail(api_key=key, sender="clinic@example.org", base_url=url)
    return transport.send(MAIL)


@pytest.mark.parametrize(
    ("kind", "text_ends", "mail_ends", "taken"),
    [
        ("429", Transient, Transient, 0),
        ("503", Transient, Unknown, 0),
        ("reset", Unknown, Unknown, 0),
        ("taken, answer lost", Unknown, Unknown, 1),
    ],
)
def test_a_fault_is_what_its_name_says_at_each_provider(
    kind: str, text_ends: type[Exception], mail_ends: type[Exception], taken: int
) -> None:
    with TwilioDouble() as texts, SendGridDouble() as mails:
        texts.trouble, mails.trouble = only(kind, twilio.refusal), only(kind, sendgrid.refusal)
        for send, ends, double in ((text, text_ends, texts), (mail, mail_ends, mails)):
            with pytest.raises(ends):
                send(double.url)
            assert len(double.sent) == taken


def test_who_asks_too_often_is_told_so_in_the_providers_own_words() -> None:
    for send, double, refused, code in (
        (text, TwilioDouble(), twilio.refusal, "twilio:20429"),
        (mail, SendGridDouble(), sendgrid.refusal, "sendgrid:http-429"),
    ):
        with double:
            double.trouble = only("429", refused)
            with pytest.raises(Transient) as caught:
                send(double.url)
        assert caught.value.code == code
        assert 1 <= (caught.value.retry_after_s or 0) <= 2


def test_who_has_not_the_right_key_is_refused_and_nothing_is_taken() -> None:
    with TwilioDouble(token="right") as texts, SendGridDouble(key="right") as mails:
        for send, double in ((text, texts), (mail, mails)):
            with pytest.raises(Misconfigured):
                send(double.url, "wrong")
            assert double.sent == []
            assert send(double.url)
            assert len(double.sent) == 1


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": "14155550123"}, 21211),
        ({"From": "clinic"}, 21212),
        ({"From": ""}, 21603),
        ({"From": "", "MessagingServiceSid": "MG1"}, 21701),
        ({"Body": "x" * 1601}, 21617),
        ({"ValidityPeriod": "36001"}, 21620),
    ],
)
def test_a_text_that_twilio_would_not_take_is_not_taken(form: dict[str, str], code: int) -> None:
    with TwilioDouble() as double:
        answer = post(double, **form)
        assert (answer.status, f'"code": {code}' in answer.body.decode(), double.sent) == (400, True, [])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"from": {"email": "clinic"}}, "from.email"),
        ({"personalizations": [{"to": [{"email": "nobody"}]}]}, "personalizations.0.to.0.email"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0"),
    ],
)
def test_a_mail_that_sendgrid_would_not_take_is_named_by_its_place(change: dict[str, Any], place: str) -> None:
    whole = {
        "personalizations": [{"to": [{"email": "pat@example.org"}]}],
        "from": {"email": "clinic@example.org"},
        "content": [{"type": "text/plain", "value": "x"}],
    }
    assert sendgrid.fault_of(whole) == {}
    assert sendgrid.fault_of({**whole, **change})["errors"][0]["field"] == place


def test_without_trouble_a_message_is_taken() -> None:
    with TwilioDouble() as double:
        double.trouble = planned("1", requests=0)
        assert post(double).status == 201
        assert len(double.sent) == 1


def only(kind: str, refused: Callable[[int], Any]) -> Callable[[str], Any]:
    return lambda _: kinds(refused)[kind]()
