"""What every provider of e-mail must do, whoever it is."""

from __future__ import annotations

import pytest

from integrations.email import Email, EmailTransport
from integrations.errors import Transient

TO = "mary.o'neil+clinic@example.org"
MAIL = Email(
    to=TO,
    subject="Your appointment · rendez-vous",
    text="Hello,\n\nyour visit is on Tue 3 Mar.\n.\nüñí 👍\n",
    html="<p>your visit is on <b>Tue 3 Mar</b></p>",
    attempt_id="018f.1",
    headers={"List-Unsubscribe": "<https://relay.example.org/u/abc>"},
)
Seen = tuple[str, str, str, str, str, str]


class EmailContract:
    """Subclass with a fixture `transport`, and say how to look at the partner and how to take it away."""

    def seen(self) -> list[Seen]:
        """Return (address, subject, text, html, attempt id, List-Unsubscribe) of each mail the partner has."""
        raise NotImplementedError

    def take_away(self) -> None:
        """Make the partner impossible to reach."""
        raise NotImplementedError

    def test_a_mail_arrives_as_it_was_written_with_its_attempt(self, transport: EmailTransport) -> None:
        assert transport.send(MAIL)
        unsubscribe = MAIL.headers["List-Unsubscribe"]
        assert self.seen() == [(TO, MAIL.subject, MAIL.text, MAIL.html, "018f.1", unsubscribe)]

    def test_html_may_be_left_out(self, transport: EmailTransport) -> None:
        transport.send(Email(to=TO, subject="Hello", text="plain", attempt_id="a"))
        assert self.seen() == [(TO, "Hello", "plain", "", "a", "")]

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
