"""Holds that a text whose callbacks were lost still ends as what it became: its provider is asked, in turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Heartbeat
from backend.apps.core.sealed import written
from backend.apps.messaging.models import ProviderEvent
from integrations.doubles.twilio import TwilioDouble
from tests.workers.rows import HOUR, stored
from tests.workers.texts import due_message
from tests.workers.tries import BODY, instead_of, number, sent, states
from workers import gateways, provider_events, statuses

pytestmark = pytest.mark.django_db
OURS = "+14155550199"


@pytest.fixture(autouse=True)
def twilio(settings: Any, rung: list[str]) -> Iterator[TwilioDouble]:
    gateways._clients.__dict__.clear()
    with TwilioDouble() as running:
        settings.SMS_TRANSPORT, settings.TWILIO_BASE_URL, settings.TWILIO_FROM = "twilio", running.url, OURS
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC" + "0" * 32, "token"
        yield running
    gateways._clients.__dict__.clear()


def silent(twilio: TwilioDouble, *, ago: timedelta = HOUR, **became: Any) -> Any:
    """Save a text that was sent `ago` and not heard of since."""
    sms = twilio.place({"To": number(), "From": OURS, "Body": BODY}, **became)
    at = timezone.now() - ago
    return sent(message_id=sms.sid, recipient_phone=sms.to, sent_at=at, scheduled_send_time=at, provider_status="sent")


def silent_message(twilio: TwilioDouble) -> Any:
    """Save a text that is no reminder, sent an hour ago and not heard of since."""
    sms, at = twilio.place({"To": number(), "From": OURS, "Body": BODY}), timezone.now() - HOUR
    row = due_message(scheduled_send_time=at)
    noted = {"external_id": sms.sid, "provider": "twilio", "provider_status": "sent"}
    noted |= written(type(row), row.pk, recipient_phone=sms.to)
    ended = {"status": "sent", "work_state": "done", "sent_at": at}
    type(row).objects.filter(pk=row.pk).update(**noted, **ended)
    return stored(row)


def settle() -> str:
    """Ask, then apply what was said."""
    asked = statuses.poll()
    ProviderEvent.objects.update(due_at=timezone.now() - HOUR)
    provider_events.apply()
    return asked


def test_a_text_whose_callbacks_were_lost_is_asked_about(twilio: TwilioDouble, rung: list[str]) -> None:
    arrived, lost = silent(twilio, status="delivered"), silent(twilio, status="undelivered", error_code=30005)
    assert settle() == "asked for 2 of 2"
    assert (states(arrived), states(lost)) == (("delivered", "done"), ("bounced", "done"))
    assert instead_of(lost) == ["email"]
    assert "provider_events.apply" in rung
    assert Heartbeat.objects.get(entry="poll provider statuses").runs == 1


@pytest.mark.parametrize(
    "over",
    [
        {"sent_at": timedelta(minutes=5)},
        {"sent_at": timedelta(days=3)},
        {"status": "delivered"},
        {"provider": "sandbox"},
        {"external_id": ""},
    ],
    ids=["new", "forgotten", "final", "another provider", "no name"],
)
def test_what_need_not_or_cannot_be_asked_about_is_not(twilio: TwilioDouble, over: dict[str, Any]) -> None:
    row, now = silent(twilio), timezone.now()
    over = {name: now - value if isinstance(value, timedelta) else value for name, value in over.items()}
    type(row).objects.filter(pk=row.pk).update(**over)
    assert statuses.poll() == "asked for 0 of 0"
    assert twilio.requests == []


def test_those_not_asked_about_for_longest_come_first(twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [silent(twilio, status="sent") for _ in range(3)]
    for place, row in enumerate(rows):
        type(row).objects.filter(pk=row.pk).update(updated_at=timezone.now() - timedelta(hours=9 - place))
    monkeypatch.setattr(statuses, "AT_ONCE", 2)
    statuses.poll()
    assert [request.path.rpartition("/")[2][:-5] for request in twilio.requests] == [
        row.external_id for row in rows[:2]
    ]
    statuses.poll()
    assert twilio.requests[2].path.endswith(f"{rows[2].external_id}.json")


def test_of_all_kinds_together_those_not_asked_about_for_longest_come_first(
    twilio: TwilioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    young = silent(twilio)
    old = silent_message(twilio)
    for row, hours in ((young, 2), (old, 5)):
        type(row).objects.filter(pk=row.pk).update(updated_at=timezone.now() - timedelta(hours=hours))
    monkeypatch.setattr(statuses, "AT_ONCE", 1)
    assert [statuses.poll(), statuses.poll()] == ["asked for 1 of 1"] * 2
    assert [request.path.rpartition("/")[2][:-5] for request in twilio.requests] == [old.external_id, young.external_id]


def test_only_what_was_asked_about_counts_as_asked(twilio: TwilioDouble) -> None:
    rows = [silent(twilio) for _ in range(3)]
    before = timezone.now() - timedelta(hours=3)
    type(rows[0]).objects.update(updated_at=before)
    twilio.fail_next(503, b"", method="GET")
    assert statuses.poll() == "asked for 0 of 3"
    assert [type(row).objects.get(pk=row.pk).updated_at == before for row in rows].count(True) == 2


def test_two_at_once_ask_about_each_text_once(twilio: TwilioDouble) -> None:
    for _ in range(3):
        silent(twilio)
    mine, others = statuses.candidates(), statuses.candidates()
    assert [statuses.claim(row) for row in mine] == [True] * 3
    assert [statuses.claim(row) for row in others] == [False] * 3


def test_the_same_word_twice_is_one_event(twilio: TwilioDouble) -> None:
    silent(twilio, status="sending")
    statuses.poll()
    statuses.poll()
    assert ProviderEvent.objects.count() == 1


def test_a_provider_that_is_away_is_not_asked_any_further(twilio: TwilioDouble) -> None:
    rows = [silent(twilio, status="delivered") for _ in range(3)]
    twilio.fail_next(503, b"", times=9, method="GET")
    assert settle() == "asked for 0 of 3"
    assert {states(row) for row in rows} == {("sent", "done")}


def test_a_text_the_provider_does_not_know_stops_nobody_else(twilio: TwilioDouble) -> None:
    row = silent(twilio, status="delivered")
    type(row).objects.filter(pk=row.pk).update(external_id="SMgone")
    other = silent(twilio, status="delivered")
    assert settle() == "asked for 2 of 2"
    assert (states(row), states(other)) == (("sent", "done"), ("delivered", "done"))
