"""A laboratory that sends as fast as it is answered, in a process of its own; without it the server would be measured
together with its measure.

`python -m tests.benchmarks.intake_load PORT CONNECTIONS SECONDS NAME [--reconnect]` prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import uvloop

PANEL = "".join(
    f"OBX|{n}|NM|{2000 + n}-{n % 9}^Observation number {n}^LN^L{n}^Local name of number {n}^99LAB||{n}.{n % 10}|"
    f"mmol/L^millimole per liter^UCUM|{n}.0-{n + 5}.0|N|||F|||20260302120000-0500|LAB1^Main laboratory||AUTO^Line {n}"
    f"||20260302123000-0500\r"
    for n in range(1, 31)
)
BODY = (
    "PID|1||BENCH001^^^CLINIC^MR||Bench^Person||19800517|F\r"
    "ORC|RE|P100200^CLINIC|F300400^LAB|||||||||1234^Doctor^Any\r"
    "OBR|1|P100200^CLINIC|F300400^LAB|24323-8^Comprehensive metabolic panel^LN|||20260302120000-0500|||||||||1234"
    f"^Doctor^Any||||||20260302130000-0500||CH|F\r{PANEL}"
).encode()
WITHIN_S = 60.0


def message(control: str) -> bytes:
    """Return an ORU^R01 of 30 observations, about 6.3 kB."""
    head = f"MSH|^~\\&|BENCH|BENCH LAB|CARERELAY|CLINIC|20260302130000-0500||ORU^R01^ORU_R01|{control}|P|2.5.1\r"
    return head.encode() + BODY


class Run:
    """One measurement: every answer must be AA to the message that was sent last on its connection."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.until = time.perf_counter() + seconds
        self.took: list[float] = []
        self.wrong = 0
        self.sent = 0
        self.open = 0
        self.done = asyncio.Event()

    def next_id(self) -> str:
        self.sent += 1
        return f"{self.name}{self.sent:07d}"

    def left(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.done.set()


class Sender(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # it is one of TCP
        self.send()

    def send(self) -> None:
        self.control = self.run.next_id()
        self.began = time.perf_counter()
        self.transport.write(b"\x0b" + message(self.control) + b"\x1c\r")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.buffer.endswith(b"\x1c\r"):
            return
        now = time.perf_counter()
        self.run.took.append(now - self.began)
        if f"\rMSA|AA|{self.control}".encode() not in self.buffer:
            self.run.wrong += 1
        self.buffer = b""
        if now < self.run.until:
            self.answered()
        else:
            self.transport.close()

    def answered(self) -> None:
        self.send()

    def connection_lost(self, reason: Exception | None) -> None:
        self.run.left()


class Reconnecting(Sender):
    """For a server that hangs up after each message."""

    def answered(self) -> None:
        self.run.open += 1
        self.transport.close()
        loop = asyncio.get_running_loop()
        _, port = self.transport.get_extra_info("peername")
        connecting = loop.create_connection(lambda: Reconnecting(self.run), "127.0.0.1", port)
        loop.create_task(connecting)  # noqa: RUF006  # its socket keeps it alive until it is connected


async def measure(options: argparse.Namespace) -> Run:
    run = Run(options.name, options.seconds)
    kind = Reconnecting if options.reconnect else Sender
    loop = asyncio.get_running_loop()
    run.open = options.connections
    for _ in range(options.connections):
        await loop.create_connection(lambda: kind(run), "127.0.0.1", options.port)
    await asyncio.wait_for(run.done.wait(), options.seconds + WITHIN_S)
    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("name")
    parser.add_argument("--reconnect", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    run = uvloop.run(measure(options))
    seconds = time.perf_counter() - began
    took = sorted(run.took)
    found = {
        "count": len(took), "wrong": run.wrong, "rate": len(took) / seconds,
        "p50_ms": took[len(took) // 2] * 1000, "p99_ms": took[len(took) * 99 // 100] * 1000,
    }  # fmt: skip
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
