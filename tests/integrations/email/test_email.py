"""Holds what no provider of e-mail may be asked for: above all, headers inside headers."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.email import Attachment, Email
from integrations.errors import Permanent
from tests.integrations.email.contract import MAIL, TO

GOOD = {"to": TO, "subject": "Hello", "text": "plain", "attempt_id": "a"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"to": "nobody"}, "email:to"),
        ({"to": ""}, "email:to"),
        ({"to": "a@example.org, b@example.org"}, "email:to"),
        ({"to": "Someone <a@example.org>"}, "email:to"),
        ({"to": "a@example.org\r\nBcc: b@example.org"}, "email:to"),
        ({"to": "a@example.org\n"}, "email:to"),
        ({"to": "a\0@example.org"}, "email:to"),
        ({"subject": "Hello\r\nBcc: b@example.org"}, "email:subject"),
        ({"subject": "Hello\nthere"}, "email:subject"),
        ({"subject": "Hello\u2028there"}, "email:subject"),
        ({"subject": " "}, "email:subject"),
        ({"headers": {"X-One": "a\r\nX-Two: b"}}, "email:header"),
        ({"headers": {"X-One: b\r\nX-Two": "a"}}, "email:header"),
        ({"headers": {"From": "somebody@example.org"}}, "email:header"),
        ({"headers": {"bcc": "somebody@example.org"}}, "email:header"),
        ({"reply_to": "desk"}, "email:reply-to"),
        ({"reply_to": "desk@example.org\r\nBcc: b@example.org"}, "email:reply-to"),
        ({"unsubscribe_url": "relay.example.org/u"}, "email:unsubscribe"),
        ({"unsubscribe_url": "https://relay.example.org/u>\r\nBcc: b@example.org"}, "email:unsubscribe"),
        ({"unsubscribe_url": "https://relay.example.org/é"}, "email:unsubscribe"),
        ({"unsubscribe_url": "https://relay.example.org/" + "a" * 900}, "email:unsubscribe"),
        ({"text": "\n"}, "email:text"),
        ({"attempt_id": ""}, "email:attempt"),
    ],
    ids=str,
)
def test_a_mail_nobody_may_send_is_permanent(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(Permanent) as raised:
        Email(**{**GOOD, **wrong})
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        *(
            (name, "text/calendar")
            for name in ("", "../visit.ics", "visit\n.ics", 'vi"sit.ics', ".ics", "cita\u2028.ics")
        ),
        *(
            ("visit.ics", kind)
            for kind in ("", "calendar", "text/calendar\r\nX: y", "text/calendar;method", "a/b; c=d e")
        ),
    ],
)
def test_an_attachment_nobody_would_carry_unchanged_is_permanent(name: str, content_type: str) -> None:
    with pytest.raises(Permanent) as raised:
        Attachment(name, content_type, b"")
    assert raised.value.code == "email:attachment"


def test_a_mail_does_not_print_its_address_or_text() -> None:
    printed = repr(MAIL)
    assert TO not in printed
    assert "visit" not in printed
    assert "appointment" not in printed
