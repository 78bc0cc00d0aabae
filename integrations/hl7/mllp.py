"""Cuts the byte stream of a laboratory's connection into messages, and sends one over the same protocol.

Source: HL7 Version 2 Transport Specification: MLLP, release 1: <VT> content <FS> <CR>.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from types import TracebackType
from typing import Self

from integrations import egress
from integrations.errors import Misconfigured, Transient, Unknown

START = b"\x0b"
END = b"\x1c\r"
RESTART = START + b"MSH"
MAX_BYTES = 20 * 1024 * 1024
CHUNK = 65_536
BLANKS = b" \t\r\n"
NOT_REACHED = (OSError, ValueError)  # ValueError: what stands there is no name of a host


class FrameTooLong(ValueError):
    """The peer sent more than allowed in one message; the connection cannot be used any more."""


def frame(body: bytes) -> bytes:
    return START + body + END


class Deframer:
    """Takes bytes as they come, cut anywhere; gives whole messages.

    Bytes between messages are dropped, and counted in `skipped` but for blanks and line ends. When a message breaks off
    and the peer begins again (VT followed by MSH inside a message), the broken part is dropped and counted too: it was
    never acknowledged.
    """

    __slots__ = ("_buffer", "_max_bytes", "_searched", "_too_long", "_whole", "skipped")

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.skipped = 0
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._too_long = False
        self._whole: bytes | None = None

    @property
    def pending(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    @property
    def size(self) -> int:
        """Return how many bytes wait here."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes.

        Raises:
            FrameTooLong: a message is longer than `max_bytes`; those completed before it were returned first.
        """
        found: list[bytes] = []
        try:
            self.push(data)
            while (content := self.pop()) is not None:
                found.append(content)
        except FrameTooLong:
            if not found:
                raise
        return found

    def push(self, data: bytes) -> None:
        """Take bytes in. One whole frame, which is what nearly always comes, is not copied into the buffer."""
        end = -1 if self._buffer or self._whole is not None else data.find(END[:1])
        if end > 0 and end == len(data) - len(END) and data.startswith(START) and data.endswith(END):
            self._whole = data[1:end]
        elif not self._too_long:
            self._buffer += data

    def pop(self) -> bytes | None:
        """Return the next whole message, None when there is none yet.

        Raises:
            FrameTooLong: it is longer than `max_bytes`, or grows to be; from then on there are no more.
        """
        content, self._whole = self._whole, None
        if content is None:
            if not self._buffer and not self._too_long:
                return None
            content = None if self._too_long else self._next()
        size = len(self._buffer) - len(END) if content is None else len(content)
        if self._too_long or size > self._max_bytes:
            self._too_long = True
            self._buffer.clear()
            raise FrameTooLong(f"more than {self._max_bytes} bytes in one message")
        return content if content is None else self._after_restart(content)

    def _next(self) -> bytes | None:
        """Take the next whole message off the buffer, which then begins with VT or is empty."""
        start = self._buffer.find(START)
        junk = len(self._buffer) if start < 0 else start
        if junk:
            self.skipped += len(self._buffer[:junk].translate(None, BLANKS))
            del self._buffer[:junk]
        end = self._buffer.find(END, max(self._searched - 1, 0))
        if end < 0:
            self._searched = len(self._buffer)
            return None
        with memoryview(self._buffer) as view:
            content = bytes(view[1:end])
        del self._buffer[: end + len(END)]
        self._searched = 0
        return content

    def _after_restart(self, content: bytes) -> bytes:
        again = content.rfind(RESTART) if START in content else -1
        if again < 0:
            return content
        self.skipped += again + 1
        return content[again + 1 :]


class MllpClient:
    """Sends messages one by one over a connection that stays open between them.

    timeout_s: for connecting, and again for each message with its acknowledgement.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float = 30.0, tls: ssl.SSLContext | None = None) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._tls = tls
        self._connection: socket.socket | None = None

    def send(self, message: bytes) -> bytes:
        """Send `message` and return the bytes of its acknowledgement.

        Raises:
            Transient: the peer was not reached; nothing was sent.
            Misconfigured: the peer is where we may not connect to.
            Unknown: the message may have arrived, but no acknowledgement came.
        """
        connection = self._connected()
        try:
            return self._exchange(connection, message)
        except (OSError, FrameTooLong) as error:
            self.close()
            kind = "timeout" if isinstance(error, TimeoutError) else "lost"
            raise Unknown("sent, but no acknowledgement came", code=f"mllp:{kind}") from None

    def _connected(self) -> socket.socket:
        """Return the open connection, or a new one when the peer has closed it or left bytes nobody asked for."""
        if self._connection is not None and select.select([self._connection], [], [], 0)[0]:
            self.close()
        if self._connection is None:
            try:
                self._connection = self._connect()
            except egress.Forbidden as error:
                raise Misconfigured(str(error), code="mllp:egress") from None
            except NOT_REACHED:
                raise Transient("not reached", code="mllp:unreached") from None
        return self._connection

    def _connect(self) -> socket.socket:
        plain = egress.connected(self._address, self._timeout_s)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._address[0])
        except NOT_REACHED:
            plain.close()
            raise

    def _exchange(self, connection: socket.socket, message: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        deframer = Deframer()
        connection.settimeout(self._timeout_s)
        connection.sendall(frame(message))
        while True:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            chunk = connection.recv(CHUNK)
            if not chunk:
                raise ConnectionError
            if answers := deframer.feed(chunk):
                return answers[0]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
