"""Holds what no provider of text messages may be asked for."""

from __future__ import annotations

import pytest

from integrations.errors import Permanent
from integrations.sms import Sms
from tests.integrations.sms.contract import BODY, TO


@pytest.mark.parametrize(
    ("to", "body", "attempt", "code"),
    [
        ("4155550123", BODY, "a", "sms:to"),
        ("+1415555012a", BODY, "a", "sms:to"),
        ("+14155550123\n", BODY, "a", "sms:to"),
        ("", BODY, "a", "sms:to"),
        (TO, "  ", "a", "sms:body"),
        (TO, "x" * 1601, "a", "sms:body"),
        (TO, BODY, "", "sms:attempt"),
    ],
)
def test_a_message_nobody_could_send_is_permanent(to: str, body: str, attempt: str, code: str) -> None:
    with pytest.raises(Permanent) as raised:
        Sms(to, body, attempt)
    assert raised.value.code == code


def test_a_message_does_not_print_its_number_or_body() -> None:
    printed = repr(Sms(TO, BODY, "018f.1"))
    assert TO not in printed
    assert "visit" not in printed
