"""What every provider of text messages must do, whoever it is."""

from __future__ import annotations

import pytest

from integrations.errors import Transient
from integrations.sms import Sms, SmsTransport

TO = "+14155550123"
BODY = "Riverside: your visit is Tue at 10:30 · réponse « STOP » 👍"


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
