"""Holds the SMTP transport to the port's contract over a real socket, and each reply to its sort."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations import http
from integrations.email import Attachment, Email, smtp
from integrations.email.smtp import SmtpEmail, connector
from integrations.errors import BadAddress, Blocked, IntegrationError, Misconfigured, Permanent, Transient, Unknown
from tests.integrations.email.contract import FULL, MAIL, TO, EmailContract, Files, Seen, lost
from tests.support.certificates import server_tls
from tests.support.smtp_double import SentMail, SmtpDouble

SENDER = "Riverside Clinic <clinic@example.org>"
PATIENT_S, SHORT_S = 5.0, 1.0  # for each step; short only where the last one must be waited for longer


@pytest.fixture
def double() -> Iterator[SmtpDouble]:
    with SmtpDouble() as running:
        yield running


def client(double: SmtpDouble, *, sender: str = SENDER, **over: Any) -> SmtpEmail:
    options = {"host": "127.0.0.1", "port": double.port, "security": "none", "timeout_s": PATIENT_S, **over}
    return SmtpEmail(connect=connector(**options), sender=sender)


class TestSmtp(EmailContract):
    @pytest.fixture
    def transport(self, double: SmtpDouble) -> SmtpEmail:
        self.double = double
        return client(double)

    def seen(self) -> list[Seen]:
        return [as_seen(mail) for mail in self.double.sent]

    def files(self) -> Files:
        [mail] = self.double.sent
        return [
            (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
            for part in mail.message.iter_attachments()
        ]

    def take_away(self) -> None:
        self.double.__exit__()


def as_seen(mail: SentMail) -> Seen:
    message = mail.message
    names = ("X-CareRelay-Attempt", "List-Unsubscribe", "List-Unsubscribe-Post", "Reply-To")
    attempt, unsubscribe, post, reply_to = (str(message.get(name, "")) for name in names)
    assert mail.to == str(message["To"])
    return Seen(
        mail.to, str(message["Subject"]), mail.text("plain"), mail.text("html"), attempt, unsubscribe, post, reply_to
    )


def test_the_id_is_made_of_the_attempt_so_that_a_repeat_has_the_same(double: SmtpDouble) -> None:
    transport = client(double)
    ids = [transport.send(MAIL), transport.send(MAIL)]
    assert ids[0] == ids[1]
    assert [mail.message["Message-ID"] for mail in double.sent] == [f"<{ids[0]}>"] * 2
    assert double.sent[0].sender == "clinic@example.org"
    assert double.sent[0].message["From"] == SENDER


def test_a_mail_is_seven_bits_in_lines_that_every_server_takes(double: SmtpDouble) -> None:
    client(double).send(FULL)
    [mail] = double.sent
    assert mail.raw.isascii()
    assert max(len(line) for line in mail.raw.split(b"\r\n")) <= 998
    assert b"\n" not in mail.raw.replace(b"\r\n", b"")


def test_a_long_link_to_unsubscribe_stays_in_one_piece(double: SmtpDouble) -> None:
    url = "https://relay.example.org/u/" + "a" * 300
    client(double).send(Email(to=TO, subject="Hello", text="plain\n", attempt_id="a", unsubscribe_url=url))
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in double.sent[0].raw


def test_a_calendar_entry_keeps_the_parameters_of_its_type(double: SmtpDouble) -> None:
    entry = Attachment("visit.ics", "text/calendar; method=PUBLISH; charset=utf-8", b"BEGIN:VCALENDAR\r\n")
    client(double).send(Email(to=TO, subject="Hello", text="plain", attempt_id="a", attachments=(entry,)))
    [part] = double.sent[0].message.iter_attachments()
    assert part["Content-Type"].params == {"method": "PUBLISH", "charset": "utf-8"}
    assert part.get_payload(decode=True) == entry.content


def test_a_header_of_other_letters_arrives(double: SmtpDouble) -> None:
    client(double).send(Email(to=TO, subject="Hello", text="plain", attempt_id="a b/é", headers={"X-One": "é" * 90}))
    message = double.sent[0].message
    assert (str(message["X-One"]), str(message["X-CareRelay-Attempt"])) == ("é" * 90, "a b/é")


def test_a_domain_of_other_letters_is_written_in_ascii(double: SmtpDouble) -> None:
    client(double).send(Email(to="pat@bücher.example", subject="Hello", text="plain", attempt_id="a"))
    [mail] = double.sent
    assert mail.to == "pat@xn--bcher-kva.example"
    assert b"\r\nTo: pat@xn--bcher-kva.example\r\n" in mail.raw


def test_answers_go_to_a_domain_of_other_letters_in_ascii_too(double: SmtpDouble) -> None:
    mail = Email(to=TO, subject="Hello", text="plain", attempt_id="a", reply_to="desk@bücher.example")
    client(double).send(mail)
    assert b"\r\nReply-To: desk@xn--bcher-kva.example\r\n" in double.sent[0].raw


@pytest.mark.parametrize("to", ["pät@example.org", "pat@" + "ü" * 70 + ".example"])
def test_an_address_that_smtp_cannot_carry_is_permanent(double: SmtpDouble, to: str) -> None:
    with pytest.raises(Permanent) as raised:
        client(double).send(Email(to=to, subject="Hello", text="plain", attempt_id="a"))
    assert raised.value.code == "smtp:address"
    assert double.commands == []


@pytest.mark.parametrize(
    ("command", "answer", "sort"),
    [
        ("CONNECT", "421 4.3.2 too many", Transient),
        ("CONNECT", "554 5.7.1 listed", Misconfigured),
        ("MAIL", "451 4.3.0 later", Transient),
        ("MAIL", "530 5.7.0 log in first", Misconfigured),
        ("MAIL", "553 5.7.1 not your address", Misconfigured),
        ("RCPT", "450 4.2.1 greylisted", Transient),
        ("RCPT", "421 4.7.0 slow down", Transient),
        ("RCPT", "452 4.2.2 full", Transient),
        ("RCPT", "550 5.1.1 no such user", BadAddress),
        ("RCPT", "550 no such user", BadAddress),
        ("RCPT", "551 5.1.6 moved", BadAddress),
        ("RCPT", "553 5.1.3 bad name", BadAddress),
        ("RCPT", "550 5.7.1 denied by policy", Blocked),
        ("RCPT", "554 5.7.1 mail.relay.example: blocked", Blocked),
        ("RCPT", "550 5.7.1 relaying denied", Misconfigured),
        ("RCPT", "554 5.7.1 <pat@example.org>: Relay access denied", Misconfigured),
        ("RCPT", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", Misconfigured),
        ("RCPT", "550 relay not permitted", Misconfigured),
        ("RCPT", "552 5.2.2 full", Permanent),
        ("DATA", "451 4.3.0 later", Transient),
        ("DATA", "554 5.5.1 no", Permanent),
        ("CONTENT", "452 4.3.1 later", Transient),
        ("CONTENT", "552 5.3.4 too big", Permanent),
        ("CONTENT", "554 5.7.1 looks like spam", Blocked),
    ],
)
def test_each_reply_has_its_sort_and_the_next_mail_goes_through(
    double: SmtpDouble, command: str, answer: str, sort: type[IntegrationError]
) -> None:
    transport = client(double)
    double.answer_next(command, f"{answer} <{TO}>")
    with pytest.raises(IntegrationError) as raised:
        transport.send(MAIL)
    assert type(raised.value) is sort
    assert raised.value.code.endswith(answer[:3])
    assert TO not in str(raised.value)
    assert double.sent == []
    transport.send(MAIL)
    assert len(double.sent) == 1


@pytest.mark.parametrize("answer", ["hello", "-1 what", "354 go on", "199 wait", "777 lucky", ""])
def test_after_the_mail_was_handed_over_only_250_says_that_it_was_taken(double: SmtpDouble, answer: str) -> None:
    transport = client(double)
    double.answer_next("CONTENT", answer)
    with pytest.raises(Unknown):
        transport.send(MAIL)
    transport.send(MAIL)
    assert double.connections == 2, "whoever speaks so is not spoken to any further"


@pytest.mark.parametrize(
    ("command", "answer"),
    [("MAIL", "hello"), ("RCPT", "354 go on"), ("RCPT", "-1 no"), ("DATA", "250 taken"), ("DATA", "what")],
)
def test_an_answer_that_fits_no_question_is_transient_while_nothing_was_handed_over(
    double: SmtpDouble, command: str, answer: str
) -> None:
    transport = client(double)
    double.answer_next(command, answer)
    with pytest.raises(Transient) as raised:
        transport.send(MAIL)
    assert type(raised.value) is Transient
    transport.send(MAIL)
    assert (double.connections, len(double.sent)) == (2, 1)


def test_a_server_that_reads_a_mail_for_longer_is_waited_for(double: SmtpDouble) -> None:
    transport = client(double, timeout_s=SHORT_S)
    double.think_s = SHORT_S + 0.2
    assert transport.send(MAIL)
    double.think_s = 0.0
    double.answer_next("RCPT", "250 2.1.5 ok")
    transport.send(MAIL)
    assert (double.connections, len(double.sent)) == (1, 2)


def test_a_last_answer_that_drips_is_not_waited_for_without_end(
    double: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "LAST_WORD_S", 0.3)
    double.answer_next("CONTENT", *["250-scanning"])
    begun_s = time.monotonic()
    with pytest.raises(Unknown):
        client(double).send(MAIL)
    assert time.monotonic() - begun_s < PATIENT_S


def test_a_server_that_takes_its_time_gets_no_mail_that_nobody_could_wait_for(
    double: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = client(double)
    monkeypatch.setattr(smtp, "PATIENCE_S", 0.0)
    with pytest.raises(Transient) as raised:
        transport.send(MAIL)
    assert (raised.value.code, double.sent) == ("smtp:slow", [])
    monkeypatch.undo()
    transport.send(MAIL)
    assert (double.connections, len(double.sent)) == (1, 1), "the open connection is there for the next try"


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_connection_that_breaks_before_the_mail_is_handed_over_is_transient(double: SmtpDouble, command: str) -> None:
    double.answer_next(command, "", "")
    with pytest.raises(Transient) as raised:
        client(double).send(MAIL)
    assert not isinstance(raised.value, Misconfigured)
    assert double.sent == []


def test_a_lost_answer_after_the_mail_was_handed_over_is_unknown(double: SmtpDouble) -> None:
    transport = client(double)
    double.lose_next_answer()
    with pytest.raises(Unknown):
        transport.send(MAIL)
    assert len(double.sent) == 1, "it arrived, and was not sent again"
    transport.send(MAIL)
    assert double.connections == 2


def test_a_server_that_never_greets_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect = connector("127.0.0.1", port=silent.getsockname()[1], security="none", timeout_s=0.1)
        transport = SmtpEmail(connect=connect, sender=SENDER)
        with pytest.raises(Transient):
            transport.send(MAIL)


def test_a_connection_is_kept_even_after_a_refusal(double: SmtpDouble) -> None:
    transport = client(double)
    double.answer_next("RCPT", "550 5.1.1 no such user")
    with pytest.raises(BadAddress):
        transport.send(MAIL)
    transport.send(MAIL)
    transport.send(MAIL)
    assert (double.connections, double.commands.count("RSET"), len(double.sent)) == (1, 1, 2)


def test_a_connection_the_server_closed_meanwhile_is_opened_anew(double: SmtpDouble) -> None:
    transport = client(double)
    transport.send(MAIL)
    double.hang_up()
    assert transport._kept
    assert select.select([transport._kept[0].sock], [], [], 10)[0], "we have heard that it hung up"
    transport.send(MAIL)
    assert (double.connections, len(double.sent)) == (2, 2)


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    double: SmtpDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = client(double)
    transport.send(MAIL)
    monkeypatch.setattr(http, "IDLE_S", 0.0)
    transport.send(MAIL)
    assert double.connections == 2


def test_a_server_that_asks_for_a_login_gets_it() -> None:
    with SmtpDouble(login=("clinic", "secret")) as double:
        client(double, user="clinic", password="secret").send(MAIL)
        assert len(double.sent) == 1


@pytest.mark.parametrize(
    ("login", "over"),
    [
        (("clinic", "secret"), {"user": "clinic", "password": "wrong"}),
        (None, {"user": "clinic", "password": "secret"}),
        (None, {"security": "starttls"}),
    ],
    ids=str,
)
def test_what_the_server_does_not_grant_us_waits_for_a_person(login: Any, over: dict[str, Any]) -> None:
    with SmtpDouble(login=login) as double, pytest.raises(Misconfigured) as raised:
        client(double, **over).send(MAIL)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(("security", "tls_first"), [("starttls", False), ("tls", True)])
def test_tls_is_spoken_with_a_server_whose_certificate_is_in_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str, tls_first: bool
) -> None:
    tls, authority = server_tls(tmp_path, "localhost")
    how = {"host": "localhost", "security": security, "user": "clinic", "password": "secret"}
    with SmtpDouble(login=("clinic", "secret"), tls=tls, tls_first=tls_first) as double:
        with pytest.raises(Misconfigured):
            client(double, **how).send(MAIL)
        assert "AUTH" not in double.commands, "the password stays here"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        transport = client(double, **how)
        transport.send(MAIL)
        transport.send(MAIL)
        assert [mail.is_private for mail in double.sent] == [True, True]
        assert double.connections == 2, "one was refused, one is kept"


def test_a_login_that_is_refused_for_now_may_be_tried_again() -> None:
    with SmtpDouble(login=("clinic", "secret")) as double:
        double.answer_next("AUTH", "454 4.7.0 later")
        with pytest.raises(Transient) as raised:
            client(double, user="clinic", password="secret").send(MAIL)
    assert type(raised.value) is Transient


def test_smtp_cannot_be_asked_for_a_lost_mail(double: SmtpDouble) -> None:
    assert not client(double).can_find
    with pytest.raises(Unknown):
        client(double).find(lost())


@pytest.mark.parametrize("sender", ["nobody", "", "a@example.org\r\nBcc: b@example.org", "Clínica <c@example.org>"])
def test_a_sender_that_is_none_is_refused_at_the_start(double: SmtpDouble, sender: str) -> None:
    with pytest.raises(ValueError, match="sender"):
        client(double, sender=sender)


def test_another_word_for_security_is_refused_before_a_password_travels_in_the_clear() -> None:
    with pytest.raises(ValueError, match="starttls, tls, none"):
        connector("127.0.0.1", port=25, security="ssl")  # type: ignore[arg-type]  # as a setting might say
