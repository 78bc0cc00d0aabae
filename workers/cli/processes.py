"""Starting and ending child processes; without it a killed supervisor would leave servers behind."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

Child = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Identity:
    """The user a child becomes before it starts."""

    uid: int
    gid: int

    def assume(self) -> None:
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    output: int | IO[bytes],
    cwd: Path | None = None,
    identity: Identity | None = None,
    farewell: signal.Signals = signal.SIGTERM,
) -> Child:
    """Start a child in a session of its own; the kernel sends it `farewell` when this process dies (Linux).

    Call it from the main thread: the kernel ties the farewell to the thread that forked.
    """
    return subprocess.Popen(
        [str(word) for word in argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_before_exec(identity, farewell, os.getpid()),  # noqa: PLW1509 - this process has one thread
    )


def _before_exec(identity: Identity | None, farewell: signal.Signals, parent: int) -> Callable[[], None]:
    def prepare() -> None:
        if identity:
            identity.assume()  # first: a change of user clears the farewell
        if _libc:
            _libc.prctl(PR_SET_PDEATHSIG, int(farewell))
            if os.getppid() != parent:  # died between fork and here
                os._exit(1)

    return prepare


def finish(child: Child, *, by: signal.Signals = signal.SIGTERM, within_s: float) -> bool:
    """Ask a child to end, insist by SIGKILL on its whole session when time is up. True when it ended by itself."""
    ask(child, by)
    return await_end(child, within_s)


def ask(child: Child, by: signal.Signals = signal.SIGTERM) -> None:
    if child.poll() is None:
        child.send_signal(by)


def await_end(child: Child, within_s: float) -> bool:
    try:
        child.wait(max(0.0, within_s))
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
    kill_session(child)
    child.wait()
    return ended


def kill_session(child: Child) -> None:
    """Kill whatever is left of the child's session, so that a restart finds its port free."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
