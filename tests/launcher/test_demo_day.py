"""Proves that a day's table tells what was lost, doubled or left, and that reports of its partners are believed."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from integrations.doubles.sendgrid import as_sent
from integrations.doubles.server import Answer, HttpDouble, Request
from integrations.email import sendgrid_webhooks
from integrations.sms import twilio_webhooks
from tests.support.stage import until
from workers.cli import demo_bulk, demo_counts, demo_day, demo_labs, demo_partners, demo_table, playing
from workers.cli.demo_bulk import Bulk, Size
from workers.cli.demo_partners import Partners
from workers.cli.demo_table import Row
from workers.cli.errors import Refused
from workers.cli.state import Ports, Running

ENDED = {"delivered": 2, "bounced": 1}
GOOD = {"pipeline": "texts", "asked": 3, "expected": ENDED, "happened": ENDED, "counted": "3 taken"}

MAIL = {
    "personalizations": [{"to": [{"email": "pat@example.org"}], "custom_args": {"attempt_id": "row.1"}}],
    "from": {"email": "clinic@example.org"}, "subject": "x", "content": [{"type": "text/plain", "value": "x"}],
}  # fmt: skip


def test_a_row_in_which_all_was_explained_is_good() -> None:
    assert Row(**GOOD, books="agrees").wrong == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"doubled": 1}, ["1 twice"]),
        ({"lost": 2}, ["2 lost"]),
        ({"asked": 4, "in_line": 1}, ["1 still in line"]),
        ({"asked": 5}, ["2 of those asked ended in nothing"]),
        ({"asked": 2}, ["1 more than asked"]),
        ({"apart": 1}, ["1 told otherwise there"]),
        ({"happened": {"failed": 3}}, ["0 bounced instead of 1", "0 delivered instead of 2", "3 failed instead of 0"]),
        ({"agree": False}, ["the books do not agree"]),
    ],
)
def test_a_row_says_what_is_wrong_and_the_day_is_not_good(fault: dict[str, Any], said: list[str]) -> None:
    row = Row(**{**GOOD, **fault})
    assert row.wrong == said
    assert f"WRONG: {said[0]}" in row.cells()[-1]
    assert not demo_table.is_good([Row(**GOOD), row])


def test_the_document_holds_the_rows_and_the_verdict_and_goes_through_json() -> None:
    told = json.loads(json.dumps(demo_table.document([Row(**GOOD)], seed=7, scenes_good=True)))
    assert (told["seed"], told["good"], told["rows"][0]["happened"]) == (7, True, ENDED)
    assert demo_table.document([Row(**GOOD)], otherwise_good=False)["good"] is False
    assert demo_table.document([])["good"] is False


def test_a_day_is_not_good_of_which_a_part_broke_off_a_report_was_not_taken_or_a_fault_did_not_come() -> None:
    def verdict(partners: Partners, *, scenes_good: bool = True) -> bool:
        told = demo_day.told([Row(**GOOD)], partners, chaos=True, scenes_good=scenes_good, seconds=1)
        return bool(told["good"])

    planned = Partners(1)
    planned.begin_trouble(3, 3)
    assert verdict(Partners(1))
    assert not verdict(Partners(1), scenes_good=False)
    assert not verdict(Partners(1, untaken=1))
    assert not verdict(planned)


@pytest.mark.parametrize("error", [Refused("no"), OSError("no"), KeyError("id")])
def test_a_part_that_breaks_off_makes_the_day_not_good_and_ends_no_other(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere, part = Running(Ports(), {}, {}, ready=True), Future[None]()
    bulk = Bulk(nowhere, Partners(1), Size(), chaos=False, began=datetime.now(UTC))
    part.set_exception(error)
    demo_bulk.ended(bulk, part)
    assert not bulk.good
    assert "NOT as it should be" in capsys.readouterr().out


def test_reconcile_is_told_by_what_it_misses() -> None:
    account, fault = {"taken_in": 5, "unexplained": -2}, {"check": "no name", "count": 3}
    good = demo_counts.verdict({"accounts": [{**account, "unexplained": 0}], "faults": [], "agree": True})
    bad = demo_counts.verdict({"accounts": [account], "faults": [fault], "agree": False})
    assert (good.sentence, good.agree) == ("agrees, 5 rows", True)
    assert (bad.sentence, bad.agree) == ("2 rows missing or from nowhere; no name: 3", False)


@pytest.mark.parametrize("words", [["nonsense"], ["labs", "--chaos"], ["labs", "--json"]])
def test_what_cannot_be_played_is_refused_before_anything_is_started(words: list[str]) -> None:
    with pytest.raises(Refused):
        playing.run(words)


def test_too_few_messages_are_refused_and_odd_numbers_shared_out() -> None:
    with pytest.raises(Refused, match="fewer than 12"):
        Size(messages=11)
    assert demo_bulk.shared_out(61, 2) == [30, 31]
    assert (Size(reminders=7).texts, Size(reminders=7).mails) == (4, 3)


def test_numbers_of_a_day_are_bounded() -> None:
    assert playing.parser().parse_args(["--claims", "3"]).claims == 3
    with pytest.raises(argparse.ArgumentTypeError):
        playing.at_least_one("0")


def test_a_laboratory_sends_as_many_messages_as_asked_with_some_twice_and_a_stranger_among_them() -> None:
    patient = {**demo_labs.STRANGER, "medical_record_number": "M1"}
    told = demo_bulk.messages([patient], 30, b"NORTHLAB|NORTH LABORATORY")
    assert len(told) == 30
    assert Counter(demo_bulk.endings(told).values()) == {"filed": 25, "worklist": 2}
    assert len(set(told)) == 27
    assert all(b"|NORTHLAB|NORTH LABORATORY|" in raw for raw in told)
    assert sum(b"PID|" not in raw for raw in told) == 1


class Door(HttpDouble):
    """Takes reports as the stack would."""

    def take(self, request: Request) -> Answer:
        return Answer(204)


def reported(partners: Partners, door: Door, count: int) -> list[Request]:
    with demo_partners.opened(partners, door.url):
        return list(door.arrived(count))


TEXT = {"To": "+14155550123", "From": "+14155550199", "Body": "x"}


def test_a_text_is_reported_signed_and_on_a_day_of_faults_twice_and_the_last_word_first() -> None:
    with Door() as door:
        partners, url = Partners(1), f"{door.url}/webhooks/twilio/status?a=row.1"
        partners.begin_trouble(2, 0)
        silent = partners.twilio.place({**TEXT, "StatusCallback": url})
        partners.twilio.place({**TEXT, "StatusCallback": url})
        came = reported(partners, door, 3)
    assert partners.silent == [silent.sid]
    assert partners.twilio.sent[0].status == "delivered"
    forms = [parse_qsl(one.body.decode()) for one in came]
    assert [dict(form)["MessageStatus"] for form in forms] == ["delivered", "sent", "delivered"]
    signed = [one.headers["X-Twilio-Signature"] for one in came]
    assert all(
        twilio_webhooks.verify(url, form, by, [demo_partners.TOKEN]) for form, by in zip(forms, signed, strict=True)
    )


def test_a_report_on_a_text_that_is_not_taken_is_not_posted_again_and_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Door() as door:
        partners = Partners(1)
        partners.twilio.place({**TEXT, "StatusCallback": f"{door.url}/webhooks/twilio/status?a=row.1"})
        door.fail_next(503, times=2)
        with demo_partners.opened(partners, door.url):
            door.arrived(2)
            until(partners.is_all_reported)
    assert (partners.untaken, len(door.requests)) == (2, 2)
    assert "was not taken   <- NOT as it should be" in capsys.readouterr().out


def test_an_e_mail_is_reported_signed_with_the_key_the_stack_is_told() -> None:
    with Door() as door:
        partners = Partners(1)
        partners.sendgrid.sent.append(as_sent(MAIL))
        (came,) = reported(partners, door, 1)
    signed = [came.headers.get(f"X-Twilio-Email-Event-Webhook-{name}") for name in ("Signature", "Timestamp")]
    keys = [partners.environment["SENDGRID_WEBHOOK_KEYS"]]
    assert sendgrid_webhooks.verify(came.body, *signed, keys, datetime.now(UTC))
    assert [event.kind for event in sendgrid_webhooks.read(came.body)] == ["processed", "delivered"]


def test_nothing_is_reported_to_an_address_elsewhere_than_at_the_stack(capsys: pytest.CaptureFixture[str]) -> None:
    text = {"To": "+14155550123", "From": "+14155550199", "Body": "x"}
    with Door() as door, Door() as elsewhere:
        partners = Partners(1)
        partners.twilio.place({**text, "StatusCallback": f"{elsewhere.url}/webhooks/twilio/status"})
        partners.twilio.place({**text, "StatusCallback": f"{door.url}/webhooks/twilio/status"})
        came = reported(partners, door, 2)
        assert (len(came), elsewhere.requests) == (2, [])
    assert "is wanted elsewhere than at the stack   <- NOT as it should be" in capsys.readouterr().out


def test_a_stack_of_the_day_speaks_to_the_providers_here() -> None:
    told = Partners(1).environment
    assert (told["CARERELAY_SMS"], told["CARERELAY_EMAIL"]) == ("twilio", "sendgrid")
    assert all(told[name].startswith("http://127.0.0.1:") for name in ("TWILIO_BASE_URL", "SENDGRID_BASE_URL"))
