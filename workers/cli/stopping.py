"""How a command ends on a signal: once, told, and cleaned up; without it threads and stacks would be left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, SimpleNamespace
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY_S = 0.2
_asked = SimpleNamespace(stop=False)  # no lock: a signal may come while this very thread holds it


class Stop(BaseException):
    """A signal asked to end: unwinds whatever is going on, and every block closes what it opened."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def on_signals(say: str = "") -> Iterator[None]:
    """Turn a signal into Stop inside the block and say so; no later one cuts off the clean stop, to the end."""

    def stop(number: int, _frame: FrameType | None) -> None:
        ignore()
        _asked.stop = True
        with suppress(OSError):  # the terminal may be gone
            os.write(sys.stderr.fileno(), say.encode())
        raise Stop(number)

    kept = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if number != signal.SIGHUP or kept[number] is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, stop)
    try:
        yield
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        if not _asked.stop:
            restore(kept)
        _asked.stop = False


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal cut off the block, which is bounded in time anyway."""
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    ignore()
    try:
        yield
    finally:
        restore(kept)


def ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def restore(kept: dict[signal.Signals, Any]) -> None:
    for number, handler in kept.items():
        signal.signal(number, handler)


def pause(seconds: float) -> None:
    """Wait so long; in whatever thread, raise Stop as soon as the command is to end."""
    until = time.monotonic() + seconds
    while not _asked.stop:
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, LOOK_EVERY_S))
    raise Stop
