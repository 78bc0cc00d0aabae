"""A laboratory that takes orders behind a real MLLP socket; without it no test could see an answer get lost."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from integrations.hl7.mllp import Deframer, frame

CHUNK = 65_536
Answer = Callable[[bytes], bytes]


def control_of(message: bytes) -> str:
    return message.split(b"\r", 1)[0].split(b"|")[9].decode()


def placers_of(message: bytes) -> list[str]:
    return [line.split(b"|")[2].decode() for line in message.split(b"\r") if line.startswith(b"ORC|")]


def msa(answer: bytes) -> tuple[str, str]:
    """Return MSA-1 and MSA-2 of an acknowledgement. Raises ValueError."""
    if not answer.startswith(b"MSH|"):
        raise ValueError("not a message")
    line = next(line for line in answer.split(b"\r") if line.startswith(b"MSA|"))
    code, control = line.decode().split("|")[1:3]
    return code, control


def ack(code: str, *, answers: str = "", err: str = "") -> Answer:
    """Return what answers a message with a plain acknowledgement. answers: another MSA-2 than the message's own."""

    def answer(message: bytes) -> bytes:
        told = f"MSA|{code}|{answers or control_of(message)}\r" + (f"{err}\r" if err else "")
        return f"{head('ACK')}{told}".encode()

    return answer


def orl(*controls: str, kind: str = "ORL^O22", code: str = "AA", at: str = "20260302120001") -> Answer:
    """Return what answers a message with its orders: an ORC for each of `controls`, with its number F1 ..."""

    def answer(message: bytes) -> bytes:
        placer = placers_of(message)[0]
        orders = "".join(f"ORC|{one}|{placer}|F{number}\r" for number, one in enumerate(controls, start=1))
        return f"{head(kind, at=at)}MSA|{code}|{control_of(message)}\r{orders}".encode()

    return answer


def head(kind: str, *, at: str = "20260302120001", control: str = "A1") -> str:
    return f"MSH|^~\\&|LIS|LAB|CARERELAY|CLINIC|{at}-0500||{kind}|{control}|P|2.5.1\r"


@dataclass(frozen=True)
class Step:
    """What happens with one message: `answer` None sends nothing."""

    answer: Answer | None
    wait_s: float = 0.0
    closes: bool = False
    in_pieces: bool = False
    then: bytes = b""  # sent after the answer, unasked


class LabDouble:
    """An MLLP server on 127.0.0.1 for the length of a `with`. Usually it answers AA.

    `taken` holds each message that arrived, also those whose answer gets lost. `next` scripts the next messages, first
    in, first out.
    """

    def __init__(self, answer: Answer | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.taken: list[bytes] = []
        self.connections = 0
        self.unasked = 0  # messages sent after an answer
        self._usual = answer or ack("AA")
        self._tls = tls
        self._steps: deque[Step] = deque()
        self._closing = threading.Event()
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        port: int = self._server.getsockname()[1]
        return port

    def next(
        self,
        answer: Answer | None,
        *,
        wait_s: float = 0.0,
        closes: bool = False,
        in_pieces: bool = False,
        then: bytes = b"",
        times: int = 1,
    ) -> None:
        self._steps.extend([Step(answer, wait_s, closes, in_pieces, then)] * times)

    def controls(self) -> list[str]:
        return [control_of(message) for message in self.taken]

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        deframer = Deframer()
        with contextlib.suppress(OSError), self._secured(connection) as secured:
            while data := secured.recv(CHUNK):
                for message in deframer.feed(data):
                    self.taken.append(message)
                    if not self._react(secured, message):
                        return

    def _secured(self, connection: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

    def _react(self, connection: socket.socket, message: bytes) -> bool:
        step = self._steps.popleft() if self._steps else Step(self._usual)
        self._closing.wait(step.wait_s)
        if step.answer is not None:
            answer = frame(step.answer(message))
            for start in range(0, len(answer), 7 if step.in_pieces else len(answer)):
                connection.sendall(answer[start : start + 7] if step.in_pieces else answer)
                self._closing.wait(0.001 if step.in_pieces else 0)
        if step.then:
            self._closing.wait(0.05)
            connection.sendall(frame(step.then))
            self.unasked += 1
        return not step.closes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for one in (self._server, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._thread.join(5)
