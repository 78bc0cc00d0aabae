"""Sends mail through any SMTP server; without it a clinic would need an account with SendGrid."""

from __future__ import annotations

import hashlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Container, Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from types import MappingProxyType
from typing import Literal, get_args

from integrations import deadlines, egress, http
from integrations.email import CONTROL, Attachment, Email, Found, LostEmail, is_address
from integrations.errors import BadAddress, Blocked, IntegrationError, Misconfigured, Permanent, Transient, Unknown

PARTNER = "smtp"
TIMEOUT_S = 10.0  # for each step but the last
PATIENCE_S = 20.0  # from the first step until the mail is handed over: else it is tried again, on a line that is open
LAST_WORD_S = 120.0  # RFC 5321, 4.5.3.2.6 asks for ten minutes, but no task of ours lasts as long: `runner.BUDGET_S`
LOST = (OSError, smtplib.SMTPException)
BAD_ADDRESS = frozenset({550, 551, 553})  # to RCPT: no such mailbox, moved, a name that is none
ASKS_FOR_LOGIN = frozenset({530, 534, 535, 538})
POLICY = b"5.7."  # RFC 3463: security or policy, which says nothing about the address
RELAY = re.compile(rb"relay(?:ed|ing)?", re.I)  # servers have no code of its own for it
GOOD: Mapping[str, Container[int]] = MappingProxyType(
    {"mail": range(200, 300), "rcpt": range(200, 300), "data": (354,), "content": (250,)}
)
LONGEST_LINE = 900  # RFC 5322 allows 998
SEVEN_BITS = SMTP.clone(cte_type="7bit")  # every server takes it

Connect = Callable[[], smtplib.SMTP]
Security = Literal["starttls", "tls", "none"]


class SmtpEmail:
    """Keeps one connection as long as the server does; one instance per thread. SMTP cannot be asked for a lost mail.

    connect: opens a connection that is ready for MAIL, as `connector` does. sender: an address, also "Name <address>".
    """

    can_find = False

    def __init__(self, *, connect: Connect, sender: str) -> None:
        self._address = parseaddr(sender)[1]
        if not is_address(self._address) or not sender.isascii() or CONTROL.search(sender):
            raise ValueError("the sender of mail is not an e-mail address")
        self._connect, self._sender = connect, sender
        self._kept: tuple[smtplib.SMTP, float] | None = None  # and when it was used last

    def send(self, email: Email) -> str:
        """See `EmailTransport.send`; returns the Message-ID, which is made of the attempt id: a repeat has the same."""
        message_id = f"{_digest(email.attempt_id)}@{self._address.partition('@')[2]}"
        to, until_s = _ascii_address(email.to), time.monotonic() + PATIENCE_S
        content = _as_bytes(email, sender=self._sender, to=to, message_id=message_id)
        line, handing_over = self._line(), False
        try:
            refusal = _offer(line, self._address, to, until_s)
            if refusal is None:
                handing_over = True
                refusal = _refusal("content", _hand_over(line, content))
        except LOST:
            line.close()
            raise _lost(handing_over) from None
        self._keep(line, reset=refusal is not None)
        if refusal is not None:
            raise refusal
        return message_id

    def find(self, lost: LostEmail) -> Found | None:
        raise Unknown("SMTP cannot be asked for a mail", code="smtp:cannot-find")

    def _line(self) -> smtplib.SMTP:
        """Return the kept connection, or a new one. It is kept again only after a clean end, whatever interrupts us."""
        kept, self._kept = self._kept, None
        if kept is not None:
            line, used_at_s = kept
            if line.sock and time.monotonic() - used_at_s < http.IDLE_S and not http.has_ended(line.sock):
                return line
            line.close()
        try:
            return self._connect()
        except LOST as error:
            raise _unconnected(error) from None

    def _keep(self, line: smtplib.SMTP, *, reset: bool) -> None:
        try:
            is_clean = not reset or line.rset()[0] == 250
        except LOST:
            is_clean = False
        if is_clean:
            self._kept = (line, time.monotonic())
        else:
            line.close()


def connector(
    host: str,
    *,
    port: int,
    security: Security = "starttls",
    user: str = "",
    password: str = "",
    timeout_s: float = TIMEOUT_S,
) -> Connect:
    """Return how to open a connection; security: TLS from the first byte, by STARTTLS (required then), or none.

    Raises:
        ValueError: another word for security, which must not end in none by mistake.
    """
    if security not in get_args(Security):
        raise ValueError(f"the security of SMTP is one of {', '.join(get_args(Security))}")

    def connect() -> smtplib.SMTP:
        tls = None if security == "none" else http.tls_context(PARTNER)
        line = (
            _LineOfTls(host, port, timeout=timeout_s, context=tls)
            if security == "tls"
            else _Line(host, port, timeout=timeout_s)
        )
        try:
            if security == "starttls":
                line.starttls(context=tls)
            line.ehlo_or_helo_if_needed()
            if user:
                line.login(user, password)
        except BaseException:
            line.close()
            raise
        return line

    return connect


class _Line(smtplib.SMTP):
    """The library's client, which connects to where we may alone."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        try:
            return egress.connected((host, port), timeout)
        except egress.Forbidden as error:
            raise Misconfigured(str(error), code=f"{PARTNER}:egress") from None


class _LineOfTls(smtplib.SMTP_SSL, _Line):
    """The same, over TLS from the first byte."""


class Unreadable(smtplib.SMTPException):
    """The server's words do not follow from ours: from here on nobody knows which of them answers which."""


def _offer(line: smtplib.SMTP, sender: str, to: str, until_s: float) -> IntegrationError | None:
    """Name sender and recipient and ask to begin; return why not."""
    return (
        _refusal("mail", line.mail(sender))
        or _refusal("rcpt", line.rcpt(to))
        or _slowness(until_s)
        or _refusal("data", line.docmd("DATA"))
    )


def _slowness(until_s: float) -> IntegrationError | None:
    if time.monotonic() <= until_s:
        return None
    return Transient("too slow to hand a mail over now", code="smtp:slow")


def _hand_over(line: smtplib.SMTP, content: bytes) -> tuple[int, bytes]:
    """Send the mail after 354 and return the answer. Source: RFC 5321, 4.5.2 (a leading dot is doubled)."""
    body = content.replace(b"\r\n.", b"\r\n..")
    line.send((b"." if body.startswith(b".") else b"") + body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n")
    if line.sock is None or line.file is None:
        raise smtplib.SMTPServerDisconnected("not connected")
    line.file.close()
    line.file = deadlines.reader(line.sock, LAST_WORD_S)
    reply = line.getreply()
    line.file.close()
    line.file = None  # the library opens it again, with the usual time for each answer
    return reply


def _refusal(step: str, reply: tuple[int, bytes]) -> IntegrationError | None:
    """Return what a reply means, None when all is well. The server's own text may repeat the address: it is not kept.

    Raises:
        Unreadable: it is no answer to this step.

    Source: RFC 5321, 4.2; RFC 3463 for the code at the beginning of the text.
    """
    status, text = reply
    if status in GOOD[step]:
        return None
    if not 400 <= status < 600:
        raise Unreadable(step)
    code = f"smtp:{step}-{status}"
    if status < 500:
        return Transient("refused for now", code=code)
    if status in ASKS_FOR_LOGIN or step == "mail" or (step == "rcpt" and _speaks_of_relaying(text)):
        return Misconfigured("our account or sender is not allowed to send this", code=code)
    if text.startswith(POLICY):
        return Blocked("the server blocks this", code=code)
    if step == "rcpt" and status in BAD_ADDRESS:
        return BadAddress("the address cannot take mail", code=code)
    return Permanent("refused", code=code)


def _speaks_of_relaying(text: bytes) -> bool:
    """Tell whether we are not allowed to send elsewhere from here; a host or address with that word says nothing."""
    return any(RELAY.fullmatch(word.strip(b".,:;!()'\"")) for word in text.split())


def _lost(handing_over: bool) -> IntegrationError:
    if handing_over:
        return Unknown("handed over, but no answer came", code="smtp:unanswered")
    return Transient("broken off before the mail was handed over", code="smtp:unsent")


def _unconnected(error: OSError | smtplib.SMTPException) -> IntegrationError:
    """Return why no connection is ready: a person must act unless it may pass by itself."""
    if isinstance(error, smtplib.SMTPResponseException):
        code = f"smtp:connect-{error.smtp_code}"
        if error.smtp_code < 500:
            return Transient("not served for now", code=code)
        return Misconfigured("our account or address is not served", code=code)
    if isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError):
        return Misconfigured("the server does not offer what we are told to ask for", code="smtp:unsupported")
    if type(error) is smtplib.SMTPException:  # the library's word for no common way to log in
        return Misconfigured("the server knows no way to log in that we know", code="smtp:login")
    return Transient("not reached", code="smtp:unreached")


def _as_bytes(email: Email, *, sender: str, to: str, message_id: str) -> bytes:
    """Return the mail as it travels, lines ending with CRLF.

    Headers that are ASCII go before all others, unfolded: the library would break a long link into encoded words.
    """
    mail = EmailMessage(policy=SEVEN_BITS)
    mail["From"], mail["To"], mail["Subject"] = sender, to, email.subject
    mail["Date"] = formatdate()
    mail["X-CareRelay-Attempt"] = email.attempt_id
    if email.reply_to:
        mail["Reply-To"] = _with_ascii_domain(email.reply_to)
    plain = {"Message-ID": f"<{message_id}>"}
    for name, value in email.all_headers().items():
        if value.isascii() and len(name) + len(value) < LONGEST_LINE:
            plain[name] = value
        else:
            mail[name] = value
    mail.set_content(email.text)
    if email.html:
        mail.add_alternative(email.html, subtype="html")
    for file in email.attachments:
        _attach(mail, file)
    first = "".join(f"{name}: {value}\r\n" for name, value in plain.items())
    return first.encode("ascii") + mail.as_bytes()


def _attach(mail: EmailMessage, file: Attachment) -> None:
    kind, *rest = file.content_type.split(";")
    main, _, sub = kind.partition("/")
    parameters = dict(part.strip().split("=", 1) for part in rest)
    mail.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name, params=parameters)


def _ascii_address(address: str) -> str:
    """Return the address with its domain in ASCII; a mailbox of other letters would need every server's consent.

    Raises:
        Permanent: other letters before the @, or a domain that is none.
    """
    whole = _with_ascii_domain(address)
    if not whole.isascii():
        raise Permanent("an address that SMTP cannot carry", code="smtp:address")
    return whole


def _with_ascii_domain(address: str) -> str:
    mailbox, _, domain = address.rpartition("@")
    try:
        return f"{mailbox}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise Permanent("an address that SMTP cannot carry", code="smtp:address") from None


def _digest(attempt_id: str) -> str:
    return hashlib.sha256(attempt_id.encode()).hexdigest()[:32]
