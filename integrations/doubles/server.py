"""A partner behind a real socket: without it tests would prove what a mock was told, not what leaves the machine."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class Answer:
    """What the partner says."""

    status: int
    body: Any = None  # bytes go as they are, everything else as JSON, None is an empty body
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """What goes wrong with one request."""

    answer: Answer | None = None
    hang_s: float = 0.0
    until: threading.Event | None = None
    drop: bool = False
    accepted: bool = False  # the message was taken before it went wrong


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpDouble:
    """An HTTP server on 127.0.0.1 for the length of a `with`; subclasses answer requests.

    `sent` holds each accepted message in order, `requests` every request that arrived; both may be read while the
    server works. `fail_next` scripts the next requests, first in, first out; `trouble` decides on the rest.
    """

    default_port: ClassVar[int] = 0

    def __init__(self, *, port: int = 0, log: Path | None = None, latency_s: float = 0.0) -> None:
        self.latency_s = latency_s
        self.requests: list[Request] = []
        self.connections = 0
        self.trouble: Callable[[str], Failure] | None = None  # of a request's method
        self._log = log
        self._lock = threading.Lock()
        self._failures: defaultdict[str, deque[Failure]] = defaultdict(deque)
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail_next(
        self,
        status: int | None = None,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        hang_s: float = 0.0,
        until: threading.Event | None = None,
        drop: bool = False,
        accepted: bool = False,
        times: int = 1,
        method: str = "POST",
    ) -> None:
        """Make the next `times` requests of `method` go wrong.

        status, body, headers: the answer instead of the usual one. hang_s: wait that long first. until: wait for
        that first. drop: close the connection without an answer. accepted: take the message before that, as a partner
        does whose answer is lost.
        """
        answer = None if status is None else Answer(status, body, headers or {})
        with self._lock:
            self._failures[method].extend([Failure(answer, hang_s, until, drop, accepted)] * times)

    def take(self, request: Request) -> Answer:
        """Accept one request and return the usual answer; called by one thread at a time."""
        raise NotImplementedError

    def handle(self, request: Request) -> Answer | None:
        """Return the answer to `request`; None closes the connection."""
        self._closing.wait(self.latency_s)
        with self._lock:
            self.requests.append(request)
            scripted = self._failures[request.method]
            failure = scripted.popleft() if scripted else self._unscripted(request.method)
            goes_wrong = failure.answer is not None or failure.drop
            usual = None if goes_wrong and not failure.accepted else self.take(request)
        if failure.hang_s:
            self._closing.wait(failure.hang_s)
        while failure.until and not (failure.until.wait(0.05) or self._closing.is_set()):
            pass
        return None if failure.drop else failure.answer or usual

    def _unscripted(self, method: str) -> Failure:
        trouble = self.trouble  # read once: whoever ends it does not wait for us
        return trouble(method) if trouble else Failure()

    def arrived(self, count: int, within_s: float = 10.0) -> list[Request]:
        """Return `requests` once there are `count`: whoever gives up soon may do so before we have read what came."""
        until_s = time.monotonic() + within_s
        while len(self.requests) < count and time.monotonic() < until_s:
            time.sleep(0.01)
        return self.requests

    def keep(self, record: Mapping[str, Any]) -> None:
        """Write an accepted message to the log file, if there is one."""
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(json.dumps(record, default=str) + "\n")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], double: HttpDouble) -> None:
        self.double = double
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.double.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
        answer = self.server.double.handle(request)
        if answer is None:
            self.close_connection = True
            return
        body = _as_bytes(answer.body)
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Keep test output clean."""


def _as_bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def serve(double: type[HttpDouble]) -> None:
    """Run `double` as a process of its own until it is stopped; one JSON line per accepted message in the log."""
    parser = argparse.ArgumentParser(description=double.__doc__)
    parser.add_argument("--port", type=int, default=double.default_port)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    with double(port=options.port, log=options.log, latency_s=options.latency) as running:
        sys.stdout.write(f"{running.url}\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)
