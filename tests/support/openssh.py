"""Runs the SSH server that most partners run, where it is installed; without it only our counterpart would be met."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import asyncssh

from integrations.clearinghouse.sftp import SftpClearinghouse
from integrations.clearinghouse.ssh import Account
from integrations.x12.counterpart.desk import Entry

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PRIVILEGES = Path("/run/sshd")  # the server wants it when it is root, and its package makes it
MISSING = "" if SSHD and (os.geteuid() or PRIVILEGES.exists()) else "no OpenSSH server that could be started"
CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class OpenSsh:
    account: Account
    folder: Path

    def opened(self, **other: str) -> SftpClearinghouse:
        return SftpClearinghouse(replace(self.account, **other))


@contextmanager
def running(folder: Path) -> Iterator[OpenSsh]:
    """Run a server for the length of a `with`; its folders are `drop` and `pickup` in `folder`, which it does not make.

    Raises:
        TimeoutError: it did not start.
    """
    host, ours = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    host.write_private_key(str(folder / "host"))
    (folder / "host").chmod(0o600)
    (folder / "authorized").write_bytes(ours.export_public_key())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "conf").write_text(CONFIGURATION.format(port=port, folder=folder))
    account = Account(
        host="127.0.0.1",
        port=port,
        username=getpass.getuser(),
        host_key=host.export_public_key().decode(),
        private_key=ours.export_private_key().decode(),
        drop_folder=str(folder / "drop"),
        pickup_folder=str(folder / "pickup"),
    )
    command = [str(SSHD), "-D", "-e", "-f", str(folder / "conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield OpenSsh(account, folder)
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError("the server did not start")


@dataclass
class OpenSshHouse:
    """A partner behind such a server that takes each file away at once and writes down what came; for the siege."""

    server: OpenSsh
    came: list[Entry] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        account = self.server.account
        self.host, self.port, self.username = account.host, account.port, account.username
        self.host_key, self.client_key = account.host_key.strip(), account.private_key
        self.folders = (account.drop_folder, account.pickup_folder)
        for folder in self.folders:
            Path(folder).mkdir()
        self.thread = threading.Thread(target=self._take, daemon=True)

    def order(self, **_orders: Any) -> None:
        """It does nothing wrong."""

    def watch(self, _watcher: Callable[[str], bool]) -> None:
        """It tells nothing of what it is at."""

    def ledger(self) -> list[Entry]:
        return list(self.came)

    def _take(self) -> None:
        while not self.ended.is_set():
            for path in Path(self.folders[0]).glob("[!.]*"):
                content = path.read_bytes()
                path.unlink()
                verdict = "taken" if b"IEA" in content[-40:] else "unreadable"
                digest = hashlib.sha256(content).hexdigest()
                self.came.append(Entry(self.username, path.name, digest, len(content), verdict))
            self.ended.wait(0.005)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
