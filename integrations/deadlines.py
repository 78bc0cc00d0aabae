"""Reads a socket up to a moment and no longer; without it a partner that drips its answer would hold us for ever."""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse


def reader(sock: socket.socket, wait_s: float) -> io.BufferedReader:
    """Return a file to read from `sock`; after `wait_s` seconds from now each read raises TimeoutError."""
    return io.BufferedReader(_Until(sock, time.monotonic() + wait_s))


class _Until(io.RawIOBase):
    def __init__(self, sock: socket.socket, until_s: float) -> None:
        self._sock, self._until_s, self._usual_s = sock, until_s, sock.gettimeout()
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]  # io names a wider kind of buffer
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("not read to its end in time")
        self._sock.settimeout(left_s)
        try:
            return self._file.readinto(buffer)
        finally:
            self._sock.settimeout(self._usual_s)

    def close(self) -> None:
        self._file.close()
        super().close()


class TimelyResponse(HTTPResponse):
    """An answer that must be whole within the socket's time-out, and is the last word: 1xx before it is passed over.

    Source: RFC 9110, 15.2.
    """

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp.close()
        self.fp = reader(sock, sock.gettimeout() or 0.0)

    def begin(self) -> None:
        super().begin()
        while self.status < 200:
            self.headers = None  # type: ignore[assignment]  # so the library knows an answer it has not read yet
            super().begin()
