"""What every provider of text messages must do, whoever it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from integrations.errors import Permanent, Transient
from integrations.sms import LostSms, Sms, SmsTransport, body_sha256

TO = "+14155550123"
BODY = "Riverside: your visit is Tue at 10:30 · réponse « STOP » 👍"


def lost(attempt_id: str = "018f.1", *, body: str = BODY, taken: tuple[str, ...] = ()) -> LostSms:
    return LostSms(TO, body_sha256(body), attempt_id, datetime.now(UTC) - timedelta(minutes=1), taken)


class SmsContract:
    """Subclass with a fixture `transport`, and say how to look at the partner and how to take it away."""

    def seen(self) -> list[tuple[str, str, str]]:
        """Return (number, body, attempt id) of each message the partner has."""
        raise NotImplementedError

    def take_away(self) -> None:
        """Make the partner impossible to reach."""
        raise NotImplementedError

    def test_a_message_arrives_as_it_was_written_with_its_attempt(self, transport: SmsTransport) -> None:
        assert transport.send(Sms(TO, BODY, "018f.1"))
        assert self.seen() == [(TO, BODY, "018f.1")]

    def test_an_attempt_id_may_hold_any_character(self, transport: SmsTransport) -> None:
        transport.send(Sms(TO, BODY, "a b&c=d#e/é"))
        assert [attempt for _, _, attempt in self.seen()] == ["a b&c=d#e/é"]

    def test_two_attempts_have_two_ids(self, transport: SmsTransport) -> None:
        ids = {transport.send(Sms(TO, BODY, f"attempt.{number}")) for number in range(2)}
        assert len(ids) == 2
        assert len(self.seen()) == 2

    def test_a_partner_out_of_reach_is_transient_and_names_nobody(self, transport: SmsTransport) -> None:
        self.take_away()
        with pytest.raises(Transient) as raised:
            transport.send(Sms(TO, BODY, "018f.1"))
        assert raised.value.code
        assert TO not in str(raised.value)

    def test_a_lost_message_that_arrived_is_found_again(self, transport: SmsTransport) -> None:
        assert transport.can_find
        message_id = transport.send(Sms(TO, BODY, "018f.1"))
        found = transport.find(lost())
        assert found is not None
        assert found.message_id == message_id
        assert found.status == transport.status(message_id)

    def test_a_lost_message_that_never_arrived_is_not_found(self, transport: SmsTransport) -> None:
        assert transport.find(lost()) is None

    def test_what_belongs_to_another_attempt_is_not_found(self, transport: SmsTransport) -> None:
        message_id = transport.send(Sms(TO, BODY, "018f.1"))
        assert transport.find(lost(taken=(message_id,))) is None

    def test_a_message_says_how_far_it_has_come(self, transport: SmsTransport) -> None:
        status = transport.status(transport.send(Sms(TO, BODY, "018f.1", valid_for_s=3600)))
        assert status.provider_status
        assert status.status in ("sent", "delivered")
        assert status.error_code is None

    def test_a_message_nobody_sent_has_no_status(self, transport: SmsTransport) -> None:
        transport.send(Sms(TO, BODY, "018f.1"))
        with pytest.raises(Permanent):
            transport.status("SM" + "0" * 32)

    def test_a_lost_message_does_not_print_its_number(self) -> None:
        assert TO not in repr(lost())
