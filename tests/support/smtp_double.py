"""Stands in for a mail server on a socket; without it no test could see which word of SMTP a connection died at."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self, cast

GONE = b""  # what a scripted answer of a connection that breaks looks like


@dataclass(frozen=True)
class SentMail:
    """One mail the server took: its envelope, and itself as it came and as it reads. is_private: it came over TLS."""

    sender: str
    to: str
    raw: bytes
    is_private: bool = False

    @property
    def message(self) -> EmailMessage:
        return cast("EmailMessage", message_from_bytes(self.raw, policy=default))

    def text(self, kind: str) -> str:
        """Return the body of `kind` ("plain" or "html") with plain line ends; empty when there is none."""
        part = self.message.get_body((kind,))
        return part.get_content().replace("\r\n", "\n") if part is not None else ""


class SmtpDouble:
    """A server on 127.0.0.1 for the length of a `with`. Source: RFC 5321, 4.1; RFC 4954 (AUTH PLAIN).

    login: the only user and password it takes; None: it offers no AUTH. tls: it offers STARTTLS, or speaks TLS from the
    first byte when `tls_first`. `answer_next` scripts answers by command:
    CONNECT, EHLO, AUTH, MAIL, RCPT, DATA, CONTENT (the mail itself), RSET.
    """

    def __init__(
        self, *, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None, tls_first: bool = False
    ) -> None:
        self.login, self.tls, self.tls_first = login, tls, tls_first
        self.sent: list[SentMail] = []
        self.commands: list[str] = []
        self.connections = 0
        self.think_s = 0.0  # between a mail and the word about it
        self._scripted: defaultdict[str, deque[bytes]] = defaultdict(deque)
        self._accepted_though: set[str] = set()
        self._open: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), _Talk)
        self._server.double = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def answer_next(self, command: str, *answers: str) -> None:
        """Answer the next times `command` comes with `answers`, as "550 no such user"; "" breaks the connection."""
        self._scripted[command].extend(answer.encode() + b"\r\n" if answer else GONE for answer in answers)

    def lose_next_answer(self) -> None:
        """Take the next mail and break the connection instead of saying so."""
        self._accepted_though.add("CONTENT")
        self.answer_next("CONTENT", "")

    def hang_up(self) -> None:
        """Close every connection, as a server does that has waited long enough."""
        for one in list(self._open):
            one.shutdown(socket.SHUT_RDWR)

    def scripted(self, command: str) -> bytes | None:
        self.commands.append(command)
        return self._scripted[command].popleft() if self._scripted[command] else None

    def take(self, mail: SentMail, *, lost: bool) -> None:
        if not lost or "CONTENT" in self._accepted_though:
            self.sent.append(mail)
        self._accepted_though.discard("CONTENT")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.hang_up()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    double: SmtpDouble

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Talk(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.double, self.sender, self.to, self.is_private = self.server.double, "", "", False
        self.double.connections += 1
        self.double._open.add(self.connection)
        try:
            if self.double.tls_first:
                self._speak_tls()
            going_on = self._say("CONNECT", b"220 clinic.example.org ESMTP\r\n")
            while going_on and (line := self.rfile.readline()):
                going_on = self._command(line.decode().strip())
        finally:
            self.double._open.discard(self.connection)

    def _command(self, line: str) -> bool:
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb == "QUIT":
            return False
        if verb == "DATA":
            return self._data()
        if verb == "STARTTLS":
            self._say(verb, b"220 2.0.0 go on\r\n")
            self._speak_tls()
            return True
        answers = {"MAIL": b"250 2.1.0 ok\r\n", "RCPT": b"250 2.1.5 ok\r\n", "RSET": b"250 2.0.0 ok\r\n"}
        answers |= {"EHLO": self._extensions(), "AUTH": self._auth(rest) if verb == "AUTH" else GONE}
        if verb == "MAIL":
            self.sender = rest.partition("<")[2].partition(">")[0]
        if verb == "RCPT":
            self.to = rest.partition("<")[2].partition(">")[0]
        return self._say(verb, answers.get(verb, b"502 5.5.1 not known here\r\n"))

    def _speak_tls(self) -> None:
        """Wrap the connection. Source: RFC 3207; RFC 8314, 3.3."""
        if self.double.tls is None:
            raise ConnectionAbortedError
        self.double._open.discard(self.connection)
        self.connection = self.double.tls.wrap_socket(self.connection, server_side=True)
        self.double._open.add(self.connection)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.is_private = True

    def _extensions(self) -> bytes:
        words = ["clinic.example.org", "SIZE"]
        words += ["AUTH PLAIN"] if self.double.login else []
        words += ["STARTTLS"] if self.double.tls and not self.is_private else []
        return "".join(f"250{'-' if word != words[-1] else ' '}{word}\r\n" for word in words).encode()

    def _auth(self, rest: str) -> bytes:
        given = tuple(base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[1:])
        return b"235 2.7.0 welcome\r\n" if given == self.double.login else b"535 5.7.8 who are you?\r\n"

    def _data(self) -> bool:
        scripted = self.double.scripted("DATA")
        self.wfile.write(b"354 go on\r\n" if scripted is None else scripted)
        if scripted is not None:
            return scripted != GONE
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line[1:] if line.startswith(b".") else line)
        time.sleep(self.double.think_s)
        scripted = self.double.scripted("CONTENT")
        if scripted in (None, GONE):
            self.double.take(SentMail(self.sender, self.to, b"".join(lines), self.is_private), lost=scripted == GONE)
        self.wfile.write(b"250 2.0.0 taken\r\n" if scripted is None else scripted)
        return scripted != GONE

    def _say(self, command: str, usual: bytes) -> bool:
        scripted = self.double.scripted(command)
        answer = usual if scripted is None else scripted
        self.wfile.write(answer)
        return answer != GONE and not answer.startswith(b"421")
