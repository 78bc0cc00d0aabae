"""Holds the senders: tokens by the database's clock, a stop that in-flight luck does not lift, one probe at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.messaging import senders
from backend.apps.messaging.models import Sender
from backend.apps.messaging.senders import Bucket, Grant
from integrations.errors import BadAddress, IntegrationError, Misconfigured, Transient, Unknown
from tests.support.races import at_once
from tests.workers.rows import KEEPS
from workers.senders import is_ours, learn

pytestmark = pytest.mark.django_db
SLOW = Bucket("twilio:+14155550199", "sms", 0.01)  # a burst of ten; what refills by itself in a test rounds to none
FREE = Bucket("sandbox:", "sms", None)
DOWN = Transient("not reached", code="twilio:unreached")
SENT: dict[str, Any] = {"external_id": "SM1"}


def row() -> Sender:
    return Sender.objects.get()


def earlier(seconds: float, *names: str) -> None:
    """Let time pass for these columns."""
    Sender.objects.update(**{name: getattr(row(), name) - timedelta(seconds=seconds) for name in names})


def ahead_s() -> float:
    until = row().paused_until
    return (until - timezone.now()).total_seconds() if until else 0.0


def test_a_burst_is_granted_and_then_what_the_rate_refills() -> None:
    assert senders.take(SLOW, 100) == Grant(10, False)
    assert senders.take(SLOW, 100) == Grant(0, False)
    earlier(500, "refilled_at")
    assert senders.take(SLOW, 100) == Grant(5, False)
    earlier(36_000, "refilled_at")
    assert senders.take(SLOW, 100) == Grant(10, False)  # and never more than a burst


def test_a_burst_is_twenty_seconds_of_a_faster_rate() -> None:
    assert senders.take(SLOW._replace(rate_per_s=2.0), 100) == Grant(40, False)


def test_tokens_can_be_given_back_and_long_texts_go_into_debt() -> None:
    senders.take(SLOW, 10)
    senders.charge(SLOW, -3)
    assert senders.take(SLOW, 100).tokens == 3
    senders.charge(SLOW, 4)
    earlier(200, "refilled_at")
    assert senders.take(SLOW, 100).tokens == 0


def test_without_a_limit_all_is_granted() -> None:
    assert [senders.take(FREE, 500).tokens for _ in range(3)] == [500] * 3


def test_a_new_rate_in_the_settings_holds_at_once() -> None:
    senders.take(SLOW, 10)
    earlier(250, "refilled_at")
    assert senders.take(SLOW._replace(rate_per_s=0.02), 100).tokens == 5


@pytest.mark.django_db(**KEEPS)
def test_workers_at_once_share_one_burst() -> None:
    granted: list[int] = []
    try:
        assert at_once(*[lambda: granted.append(senders.take(SLOW, 4).tokens)] * 4) == ["done"] * 4
        assert sorted(granted) == [0, 2, 4, 4]
    finally:
        Sender.objects.all().delete()


def test_after_some_failures_in_a_row_the_sender_stops_and_tells_somebody() -> None:
    senders.take(SLOW, 1)
    assert not learn(SLOW, [DOWN] * 4, is_probe=False)
    assert not Alert.objects.exists()
    assert learn(SLOW, [DOWN], is_probe=False)
    assert 10 < ahead_s() <= 15
    assert Alert.objects.get().sentence.startswith("Text messages are stopped: the provider answers twilio:unreached.")
    assert senders.take(SLOW, 10).tokens == 0


@pytest.mark.parametrize("between", [SENT, BadAddress("no", code="twilio:21211")])
def test_an_answer_of_any_kind_shows_that_the_provider_is_there(between: Any) -> None:
    senders.take(SLOW, 1)
    assert not learn(SLOW, [*[DOWN] * 9, between, *[DOWN] * 4], is_probe=False)


def test_answers_that_never_come_stop_the_sender_too() -> None:
    senders.take(SLOW, 1)
    assert learn(SLOW, [Unknown("no answer", code="twilio:unanswered")] * 5, is_probe=False)


def test_the_pause_is_as_long_as_the_outage_has_been_up_to_five_minutes() -> None:
    senders.take(SLOW, 1)
    senders.fail(SLOW, "x:1", 5)
    for out, wait in ((15, 15), (30, 30), (100, 100), (4000, 300)):
        Sender.objects.update(paused_since=timezone.now() - timedelta(seconds=out))
        earlier(400, "paused_until")
        assert senders.take(SLOW, 10) == Grant(1, True)
        assert learn(SLOW, [DOWN], is_probe=True)
        assert ahead_s() == pytest.approx(wait, abs=5)


def test_one_probe_at_a_time_and_its_success_opens_the_sender() -> None:
    senders.take(SLOW, 1)
    senders.pause(SLOW, "twilio:20003", 300, alert=True)
    assert Alert.objects.get().severity == "critical"
    assert not learn(SLOW, [SENT], is_probe=False)  # it was on its way when the sender was stopped
    assert senders.paused(SLOW.name)
    earlier(301, "paused_until")
    assert senders.take(SLOW, 10) == Grant(1, True)
    assert senders.take(SLOW, 10) == Grant(0, True)
    assert not learn(SLOW, [SENT], is_probe=True)
    assert not senders.paused(SLOW.name)
    assert not Alert.objects.get().is_open
    assert senders.take(SLOW, 8) == Grant(8, False)


def test_a_probe_nobody_sent_is_followed_by_another() -> None:
    senders.take(SLOW, 1)
    senders.pause(SLOW, "x:1", 1)
    earlier(2, "paused_until")
    assert senders.take(SLOW, 10).is_probe
    earlier(31, "paused_until")
    assert senders.take(SLOW, 10) == Grant(1, True)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Transient("busy", code="twilio:20429", retry_after_s=77), 77),
        (Transient("busy", code="twilio:http-429"), 10),
        (Misconfigured("no", code="twilio:20003"), 300),
    ],
)
def test_the_whole_sender_waits_and_the_row_has_no_part_in_it(error: IntegrationError, wait: float) -> None:
    senders.take(SLOW, 1)
    assert learn(SLOW, [error, SENT], is_probe=False)
    assert ahead_s() == pytest.approx(wait, abs=5)
    assert is_ours(error)
    assert not is_ours(DOWN)


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    senders.take(SLOW, 1)
    senders.pause(SLOW, "x:1", 300)
    senders.pause(SLOW, "x:2", 5)
    assert ahead_s() > 290
