"""A provider that costs almost nothing: without it a benchmark on two cores would measure its double.

Speaks as much of Twilio's Messages API (2010-04-01) as sending and looking up need: POST Messages.json takes a message,
GET lists those of one number. `python -m tests.support.provider_stub --latency 0.1` prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TextIO, cast
from urllib.parse import parse_qs, urlsplit

import uvloop

ACCOUNT = "AC" + "0" * 32
SENDER = "+14155550199"
END = b"\r\n\r\n"


class Provider:
    """What the stub has taken, by number. latency_s: how long each answer takes."""

    def __init__(self, latency_s: float, log: TextIO | None) -> None:
        self.latency_s = latency_s
        self._log = log
        self._taken: dict[str, list[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            return 201, self._take(parse_qs(body.decode()))
        asked = parse_qs(urlsplit(target).query)
        found = self._taken.get(asked.get("To", [""])[0], [])
        return 200, {"messages": found[::-1], "page": 0, "page_size": 50, "next_page_uri": None, "uri": target}

    def _take(self, form: dict[str, list[str]]) -> dict[str, Any]:
        now = format_datetime(datetime.now(UTC))
        message = {
            "sid": f"SM{next(self._numbers):032x}",
            "account_sid": ACCOUNT,
            "to": form["To"][0],
            "from": SENDER,
            "body": form["Body"][0],
            "status": "queued",
            "direction": "outbound-api",
            "num_segments": "1",
            "error_code": None,
            "date_created": now,
            "date_sent": now,
            "date_updated": now,
        }
        self._taken.setdefault(message["to"], []).append(message)
        if self._log:
            self._log.write(json.dumps({"to": message["to"], "sid": message["sid"], "body": message["body"]}) + "\n")
            self._log.flush()
        return message


class Connection(asyncio.Protocol):
    """One kept-alive connection; a request is answered when all of it is here."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, of the same verbs

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while END in self._buffer:
            head, _, rest = self._buffer.partition(END)
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
            )
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            status, document = self._provider.answer(method, target, rest[:length])
            self._later(status, document)

    def _later(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        asyncio.get_running_loop().call_later(self._provider.latency_s, self._write, head.encode() + body)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def serve(port: int, latency_s: float, log: TextIO | None) -> None:
    provider = Provider(latency_s, log)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(provider), "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--log", type=argparse.FileType("a"))
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.latency, options.log))
    return 0


if __name__ == "__main__":
    sys.exit(main())
