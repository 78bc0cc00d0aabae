"""What every provider of e-mail must do, whoever it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from integrations.email import Attachment, Email, EmailTransport, LostEmail
from integrations.errors import Transient, Unknown

TO = "mary.o'neil+clinic@example.org"
MAIL = Email(
    to=TO,
    subject="Your appointment · rendez-vous",
    text="Hello,\n\nyour visit is on Tue 3 Mar.\n.\nüñí 👍\n",
    html="<p>your visit is on <b>Tue 3 Mar</b></p>\n",
    attempt_id="018f.1",
    headers={"List-Unsubscribe": "<https://relay.example.org/u/abc>"},
)
UNSUBSCRIBE = "https://relay.example.org/u/0123456789abcdef?a=1&b=2"
ENTRY = Attachment("visit.ics", "text/calendar; method=PUBLISH", b"BEGIN:VCALENDAR\r\nSUMMARY:C\xc3\xadta\r\n\x00\xff")
FULL = Email(
    to=TO,
    subject="Cita",
    text="Hola\n",
    html="<p>" + "ü" * 2000 + "</p>\n",
    attempt_id="018f.2",
    headers={"Auto-Submitted": "auto-generated"},
    attachments=(ENTRY, Attachment("map.txt", "text/plain", b"left, then right")),
    unsubscribe_url=UNSUBSCRIBE,
    reply_to="desk@example.org",
)
Files = list[tuple[str | None, str, bytes]]  # name, type without parameters, content


class Seen(NamedTuple):
    """One mail as the partner has it."""

    to: str
    subject: str
    text: str
    html: str
    attempt_id: str
    unsubscribe: str
    unsubscribe_post: str = ""
    reply_to: str = ""


def lost(attempt_id: str = "018f.1") -> LostEmail:
    return LostEmail(TO, attempt_id, datetime.now(UTC) - timedelta(minutes=1))


class EmailContract:
    """Subclass with a fixture `transport`, and say how to look at the partner and how to take it away."""

    def seen(self) -> list[Seen]:
        """Return each mail the partner has."""
        raise NotImplementedError

    def files(self) -> Files:
        """Return what is attached to the only mail the partner has."""
        raise NotImplementedError

    def take_away(self) -> None:
        """Make the partner impossible to reach."""
        raise NotImplementedError

    def test_a_mail_arrives_as_it_was_written_with_its_attempt(self, transport: EmailTransport) -> None:
        assert transport.send(MAIL)
        unsubscribe = MAIL.headers["List-Unsubscribe"]
        assert self.seen() == [Seen(TO, MAIL.subject, MAIL.text, MAIL.html, "018f.1", unsubscribe)]

    def test_html_may_be_left_out(self, transport: EmailTransport) -> None:
        transport.send(Email(to=TO, subject="Hello", text="plain\n", attempt_id="a"))
        assert self.seen() == [Seen(TO, "Hello", "plain\n", "", "a", "")]

    def test_one_click_unsubscribes_and_answers_go_where_they_should(self, transport: EmailTransport) -> None:
        transport.send(FULL)
        one_click = (f"<{UNSUBSCRIBE}>", "List-Unsubscribe=One-Click", "desk@example.org")
        assert self.seen() == [Seen(TO, "Cita", "Hola\n", FULL.html, "018f.2", *one_click)]

    def test_files_arrive_to_the_last_byte(self, transport: EmailTransport) -> None:
        transport.send(FULL)
        assert self.files() == [
            ("visit.ics", "text/calendar", ENTRY.content),
            ("map.txt", "text/plain", b"left, then right"),
        ]

    def test_two_attempts_have_two_ids(self, transport: EmailTransport) -> None:
        mails = [Email(to=TO, subject="Hello", text="plain", attempt_id=f"{number}") for number in range(2)]
        assert len({transport.send(mail) for mail in mails}) == 2
        assert len(self.seen()) == 2

    def test_a_partner_out_of_reach_is_transient_and_names_nobody(self, transport: EmailTransport) -> None:
        self.take_away()
        with pytest.raises(Transient) as raised:
            transport.send(MAIL)
        assert raised.value.code
        assert TO not in str(raised.value)

    def test_a_lost_mail_is_found_again_where_the_provider_can_be_asked(self, transport: EmailTransport) -> None:
        message_id = transport.send(MAIL)
        if not transport.can_find:
            with pytest.raises(Unknown):
                transport.find(lost())
            return
        found = transport.find(lost())
        assert found is not None
        assert found.message_id == message_id
        assert transport.find(lost("another")) is None

    def test_a_lost_mail_does_not_print_its_address(self) -> None:
        assert TO not in repr(lost())
