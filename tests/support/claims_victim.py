"""Forks workers that send files and kill themselves at one moment of the protocol; none of it stands in the product.

`python -m tests.support.claims_victim` reads commands, one JSON a line, and answers each with one line:
{"do": "start", "point": "after put", "at": 2} -> the process id of a worker that dies there with its second file
{"do": "wait", "pid": 7} -> how it ended, negative the signal.
A worker without a point lives until nothing is left to send, or ten seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from backend.apps.insurance.models import Interchange  # noqa: E402  # after django.setup()
from workers import gateways  # noqa: E402  # after django.setup()
from workers.claims.transmitting import transmit_due  # noqa: E402  # after django.setup()

PATIENCE_S = 10.0
make = gateways.clearinghouse


class Doomed:
    """A way to a partner whose user dies at one point of it."""

    def __init__(self, door: Any, point: str, at: int) -> None:
        self._door, self._point, self._at, self._puts = door, point, at, 0

    def put_part(self, name: str, content: bytes) -> Any:
        self._pass("after commit")  # of the file before
        self._puts += 1
        self._pass("before put")
        at = self._door.put_part(name, content)
        self._pass("after put")
        return at

    def rename(self, name: str) -> None:
        self._pass("after staged")
        self._door.rename(name)
        self._pass("after rename")
        self._pass("ingested at once")

    def _pass(self, point: str) -> None:
        if point == self._point and self._puts == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._door, name)

    def __enter__(self) -> Doomed:
        self._door.__enter__()
        return self

    def __exit__(self, *given: Any) -> None:
        if self._point == "after commit":
            os.kill(os.getpid(), signal.SIGKILL)
        self._door.__exit__(*given)


def work(point: str, at: int) -> None:
    if point:
        gateways.clearinghouse = lambda partner: Doomed(make(partner), point, at)  # type: ignore[assignment, return-value]  # a test's own
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and Interchange.objects.exclude(status="sent").exists():
        transmit_due()
        time.sleep(0.02)


def start(command: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work(command.get("point", ""), command.get("at", 1))
        finally:
            os._exit(0)
    return pid


def main() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "start":
            told = start(command)
        else:
            told = os.waitstatus_to_exitcode(os.waitpid(command["pid"], 0)[1])
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
