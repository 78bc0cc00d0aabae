"""Runs the parts, restarts one that dies and stops them all; without it a crash would stay a crash."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from workers.cli import processes
from workers.cli.parts import Part
from workers.cli.processes import Child

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_AFTER_S = 60.0  # a part that lived this long starts its back-off afresh
STOP_LIMIT_S = 18.0
PROBE_EVERY_S = 0.25
LOG_LIMIT = 20_000_000  # bytes; a larger log is put aside at start
CHUNK = 65_536


@dataclass
class Running:
    """One part and its current process."""

    part: Part
    settings: Mapping[str, str]
    log: IO[bytes]
    child: Child | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0
    ready: bool = False
    rest: bytes = field(default=b"", repr=False)  # a line the part has not finished yet

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.started_at

    @property
    def state(self) -> str:
        if self.child is None:
            return f"died {self.failures} times, waiting to start again"
        return "ready" if self.ready else "starting"


class Supervisor:
    """Starts parts in order and keeps them alive. Everything happens in `tick`, in one thread."""

    def __init__(self, log_folder: Path, *, show: Callable[[str, str], None]) -> None:
        self._log_folder = log_folder
        self.show = show
        self._selector = selectors.DefaultSelector()
        self._probed_at = 0.0
        self.running: dict[str, Running] = {}

    def start(self, part: Part, settings: Mapping[str, str]) -> None:
        log = self._log_folder / f"{part.name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        one = Running(part, settings, log.open("ab", buffering=0))
        self.running[part.name] = one
        self._launch(one)

    def tick(self, wait_s: float) -> None:
        """Pass on what the parts say, note who died, start again who has waited long enough."""
        for key, _ in self._selector.select(wait_s):
            self._read(key.data)
        for one in self.running.values():
            if one.child is not None and one.child.poll() is not None:
                self._bury(one, one.child.returncode)
            elif one.child is None and time.monotonic() >= one.start_again_at:
                self._launch(one)

    def probe(self) -> bool:
        """Ask the parts that are not ready yet, at most a few times a second. True when all are."""
        if time.monotonic() - self._probed_at >= PROBE_EVERY_S:
            for one in self.running.values():
                if one.child is not None and not one.ready:
                    one.ready = one.part.is_ready(one.part.environment(one.settings))
            self._probed_at = time.monotonic()
        return all(one.ready for one in self.running.values())

    def pids(self) -> dict[str, int]:
        return {name: one.child.pid for name, one in self.running.items() if one.child is not None}

    def stop(self, within_s: float = STOP_LIMIT_S) -> None:
        """Ask all parts at once, read what they say meanwhile, kill who is still there at the end."""
        deadline = time.monotonic() + within_s
        alive = {name: one for name, one in self.running.items() if one.child is not None}
        for one in alive.values():
            processes.ask(one.child) if one.child else None
        while alive and time.monotonic() < deadline:
            for key, _ in self._selector.select(0.1):
                self._read(key.data)
            alive = {name: one for name, one in alive.items() if one.child and one.child.poll() is None}
        for name, one in self.running.items():
            if name in alive:
                self.show(name, "did not stop in time and is killed")
            self._close(one)
        self._selector.close()
        self.running.clear()

    def _launch(self, one: Running) -> None:
        argv, env = one.part.argv(one.settings), one.part.environment(one.settings)
        one.child = processes.spawn(argv, env=env, output=subprocess.PIPE, farewell=one.part.farewell)
        one.started_at, one.ready, one.rest = time.monotonic(), False, b""
        if one.child.stdout:
            self._selector.register(one.child.stdout, selectors.EVENT_READ, one)

    def _read(self, one: Running) -> None:
        """Log one chunk and show its complete lines."""
        pipe = one.child and one.child.stdout
        if not pipe:
            return
        chunk = os.read(pipe.fileno(), CHUNK)
        if not chunk:
            self._selector.unregister(pipe)
            pipe.close()
            return
        one.log.write(chunk)
        *lines, one.rest = (one.rest + chunk).split(b"\n")
        for line in filter(bytes.strip, lines):
            self.show(one.part.name, line.decode(errors="replace").rstrip())

    def _bury(self, one: Running, code: int) -> None:
        lived_s = one.age_s
        self._close(one, keep_log=True)
        one.failures = 1 if lived_s > STEADY_AFTER_S else one.failures + 1
        delay_s = BACK_OFF_S[min(one.failures, len(BACK_OFF_S)) - 1]
        one.start_again_at = time.monotonic() + delay_s
        self.show(one.part.name, f"{describe_exit(code)}; starts again in {delay_s:.0f} s")

    def _close(self, one: Running, *, keep_log: bool = False) -> None:
        """End the process with all it left behind, and take its last words."""
        if one.child is not None:
            processes.await_end(one.child, 0)
            self._drain(one)
            one.child, one.ready = None, False
        if not keep_log:
            one.log.close()

    def _drain(self, one: Running) -> None:
        while one.child and one.child.stdout and not one.child.stdout.closed:
            self._read(one)
        if one.rest:
            self.show(one.part.name, one.rest.decode(errors="replace").rstrip())
            one.rest = b""


def describe_exit(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
