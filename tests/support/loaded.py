"""Forks real processes from one that has every task loaded; without it each of them would spend seconds on imports.

`python -m tests.support.loaded FD` reads commands from that socket: the words for Python ("-c CODE" or "-m MODULE ...")
as JSON, with two descriptors beside them: the log, and a pipe for the exit code. It answers each with the process id.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import types

from tests.support.forked import LONGEST
from workers.celery_app import app

Exits = dict[int, int]  # process id -> the pipe that is told how it ended
# What a worker or a beat would import once it runs.
AT_RUN_TIME = ("celery.apps.beat", "celery.apps.worker", "celery.bin.celery", "django.db.backends.postgresql.base")


def serve(commands: socket.socket) -> list[str]:
    """Fork a process for each command; return its words in each child. The parent ends when nobody asks any more."""
    exits: Exits = {}
    ended, rings = socket.socketpair()
    rings.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(rings.fileno(), warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([commands, ended], [], [])
        if ended in ready:
            ended.recv(LONGEST)
            tell(exits)
        if commands not in ready:
            continue
        said, descriptors, _, _ = socket.recv_fds(commands, LONGEST, 2)
        if not said:
            raise SystemExit
        log, exit_pipe = descriptors
        pid = os.fork()
        if not pid:
            become_own(log)
            for end in (commands, ended, rings):
                end.close()
            for pipe in (exit_pipe, *exits.values()):
                os.close(pipe)
            return list(json.loads(said))
        os.close(log)
        exits[pid] = exit_pipe
        commands.send(str(pid).encode())


def tell(exits: Exits) -> None:
    """Tell how those ended that have ended, as `subprocess` counts it: negative for a signal."""
    for pid in list(exits):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            exit_pipe = exits.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it
                os.write(exit_pipe, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(exit_pipe)


def become_own(log: int) -> None:
    """Leave the session, the signals and the output of the parent."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def run(words: list[str]) -> None:
    """Run what `python WORDS` would run."""
    kind, what, *arguments = words
    sys.argv = [what if kind == "-m" else "-c", *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), main.__dict__)  # noqa: S102  # a test's own words


if __name__ == "__main__":
    for name in AT_RUN_TIME:
        importlib.import_module(name)
    app.loader.import_default_modules()
    app.finalize()
    gc.freeze()  # so that a collection in a child does not copy every page
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
