"""Real processes around a test: workers, beat, a Redis of its own that can be killed and wiped, a PostgreSQL too."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import psutil
from django.db import connection

from tests.support.forked import Forked, Loaded
from workers.cli import embedded
from workers.cli.state import ROOT
from workers.queues import QUEUES

Found = TypeVar("Found")
Process = subprocess.Popen[bytes] | Forked
TASKS = ("-c", "-m celery")  # what words begin with that run our tasks


def until(look: Callable[[], Found], within_s: float = 30.0) -> Found:
    """Return what `look` finds as soon as it finds something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {within_s} s")


def database_url() -> str:
    """Return where the database of the tests is."""
    at = connection.settings_dict
    return f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"


class Stage:
    """The processes of one test; everything it started is gone when it ends.

    own_postgres: a durable cluster of its own, which may be killed, instead of the suite's.
    """

    def __init__(self, folder: Path, *, own_postgres: bool = False) -> None:
        self.folder = folder
        (folder / "logs").mkdir()
        self.postgres = embedded.Postgres(folder) if own_postgres else None
        if self.postgres:
            self.postgres.start()
        self.redis = embedded.Valkey(folder)
        self.redis.start()
        self.processes: list[Process] = []
        self._loaded: dict[str, Loaded] = {}  # by its environment
        self._reserved: list[socket.socket] = []
        self.extra: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        data = {
            "DATABASE_URL": self.database_url(),
            "REDIS_URL": self.redis.url,
            "CARERELAY_DATA_DIR": str(self.folder),
        }
        return {**os.environ, "PYTHONPATH": str(ROOT), **data, **self.extra}

    def database_url(self) -> str:
        return self.postgres.url if self.postgres else database_url()

    def start(self, name: str, *words: str) -> Process:
        """Start Python with these words; what runs our tasks is forked from a process that has them loaded."""
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            if " ".join(words).startswith(TASKS):
                process: Process = self._parent(log).fork(words, log)
            else:
                process = subprocess.Popen(
                    [sys.executable, *words],
                    env=self.environment(),
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self.processes.append(process)
        return process

    def _parent(self, log: IO[bytes]) -> Loaded:
        environment = self.environment()
        key = repr(sorted(environment.items()))
        if key not in self._loaded:
            self._loaded[key] = Loaded(environment, log)
        return self._loaded[key]

    def reserve_port(self) -> int:
        """Return a port that nobody is given but a listener of ours, which shares it with us."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        self._reserved.append(holder)
        return int(holder.getsockname()[1])

    def worker(self, name: str = "worker", concurrency: int = 2) -> Process:
        words = ["-Q", ",".join(QUEUES), "-c", str(concurrency), "-n", f"{name}@test", "-l", "INFO"]
        process = self.start(
            name, "-m", "celery", "-A", "workers.celery_app", "worker", "--without-mingle", "--without-gossip", *words
        )
        until(lambda: b" ready." in self.log(name))
        return process

    def log(self, name: str) -> bytes:
        return (self.folder / "logs" / f"{name}.log").read_bytes()

    def kill_redis_and_wipe_it(self) -> None:
        assert self.redis.child is not None
        self.redis.child.kill()
        self.redis.child.wait()
        port = int(self.redis.url.rpartition(":")[2].partition("/")[0])
        for path in (self.folder / "valkey").glob("appendonly*"):
            shutil.rmtree(path)
        self.redis = embedded.Valkey(self.folder, port=port)

    def kill_postgres(self, *, immediate: bool) -> None:
        """Take our own PostgreSQL away in the midst: `pg_ctl stop -m immediate`, or kill -9 of every process of it."""
        assert self.postgres is not None
        assert self.postgres.child is not None
        if immediate:
            self.postgres.child.send_signal(signal.SIGQUIT)
            self.postgres.child.wait()
        else:
            self.kill_tree(self.postgres.child)

    def kill_tree(self, process: Process) -> None:
        """kill -9 of the process and all its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        process.wait()

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill_tree(process)
        for parent in self._loaded.values():
            parent.close()
        for holder in self._reserved:
            holder.close()
        self.redis.stop()
        if self.postgres:
            self.postgres.stop()
            self.postgres.remove()
