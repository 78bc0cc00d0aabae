"""A process that another one forked for a test; without it only what we start ourselves could be waited for."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import IO

from workers.cli.state import ROOT

LONGEST = 65_536  # bytes of a command


class Forked:
    """A process that somebody else is the parent of, with what the tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, exit_pipe: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pipe = exit_pipe

    def poll(self) -> int | None:
        return self._told(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._told(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _told(self, within_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._pipe], [], [], within_s)[0]:
            said = os.read(self._pipe, 16)
            self.returncode = int(said) if said else -signal.SIGKILL  # its parent is gone: it was taken along
            os.close(self._pipe)
        return self.returncode


class Loaded:
    """The process that has all tasks loaded, in one environment; the first fork waits for it."""

    def __init__(self, environment: Mapping[str, str], log: IO[bytes]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.loaded", str(theirs.fileno())],
                env=dict(environment),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def fork(self, words: tuple[str, ...], log: IO[bytes]) -> Forked:
        reading, writing = os.pipe()
        socket.send_fds(self._socket, [json.dumps(words).encode()], [log.fileno(), writing])
        os.close(writing)
        answer = self._socket.recv(LONGEST)
        assert answer, "the tasks could not be loaded; its log says why"
        return Forked(int(answer), reading)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(20)
