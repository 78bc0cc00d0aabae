"""Proves that partners of a day of faults do what was drawn, the same again from a seed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from integrations.doubles.trouble import KINDS, Trouble
from integrations.doubles.twilio import TwilioDouble
from integrations.errors import Transient, Unknown
from integrations.http import Answer, Http


def drawn(seed: str, requests: int = 200, **more: float) -> list[str]:
    told = list[str]()
    trouble = Trouble(seed, share=more.get("share", 0.2), most=int(more.get("most", 15)), tell=told.append)
    for _ in range(requests):
        trouble("POST")
    assert trouble.counts.total() == len(told)
    return told


def test_the_same_seed_draws_the_same_faults_and_another_one_others() -> None:
    assert drawn("1 Twilio") == drawn("1 Twilio")
    assert drawn("1 Twilio") != drawn("2 Twilio")


def test_each_kind_of_fault_comes_once_before_one_comes_again_and_then_they_end() -> None:
    told = drawn("7")
    assert set(told[: len(KINDS)]) == set(KINDS)
    assert len(told) == 15


def test_what_only_asks_is_answered() -> None:
    trouble = Trouble("1", share=1.0, most=15, tell=lambda _: None)
    assert trouble("GET").answer is None
    assert not trouble.counts


def post(double: TwilioDouble) -> Answer:
    form = urlencode({"To": "+14155550123", "From": "+14155550199", "Body": "x"}).encode()
    path = f"{double.url}/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
    return Http(partner="twilio").send("POST", path, headers={}, body=form)


@pytest.mark.parametrize(
    ("kind", "ends", "taken"),
    [("429", Transient, 0), ("503", Transient, 0), ("reset", Unknown, 0), ("taken, answer lost", Unknown, 1)],
)
def test_a_fault_is_what_its_name_says(kind: str, ends: type[Exception], taken: int) -> None:
    with TwilioDouble() as double:
        double.trouble = only(kind)
        with pytest.raises(ends):
            post(double)
        assert len(double.sent) == taken


def test_without_trouble_a_message_is_taken() -> None:
    with TwilioDouble() as double:
        double.trouble = Trouble("1", share=0.0, most=15, tell=lambda _: None)
        assert post(double).status == 201
        assert len(double.sent) == 1


def only(kind: str) -> Callable[[str], object]:
    return lambda _: KINDS[kind]()
