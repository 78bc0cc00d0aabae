"""Holds the same contract against the server that most partners run; skipped where it is not installed."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from integrations.clearinghouse.port import Staged
from integrations.clearinghouse.sftp import SftpClearinghouse
from integrations.clearinghouse.ssh import Account
from integrations.errors import IntegrationError
from tests.integrations.clearinghouse.staged_contract import StagedContract, Stand

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PRIVILEGES = Path("/run/sshd")  # the server wants it when it is root, and its package makes it
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

pytestmark = pytest.mark.skipif(
    not SSHD or (os.geteuid() == 0 and not PRIVILEGES.exists()), reason="no OpenSSH server that could be started"
)


@dataclass(frozen=True)
class OpenSsh:
    account: Account
    folder: Path

    def opened(self, **other: str) -> SftpClearinghouse:
        return SftpClearinghouse(replace(self.account, **other))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    folder = tmp_path_factory.mktemp("openssh")
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
    pytest.fail("the server did not start")


class TestOpenSsh(StagedContract):
    code = "sftp"

    @pytest.fixture
    def stand(self, server: OpenSsh) -> Iterator[Stand]:
        drop, pickup = server.folder / "drop", server.folder / "pickup"
        for folder in (drop, pickup):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        with server.opened() as transport:
            yield Stand(transport, drop, pickup)

    @pytest.fixture
    def lost(self, server: OpenSsh) -> AbstractContextManager[Staged]:
        return server.opened(drop_folder="nowhere", pickup_folder="nowhere")


def test_another_host_key_than_the_pinned_one_is_refused(server: OpenSsh) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with server.opened(host_key=other) as transport, pytest.raises(IntegrationError) as raised:
        transport.probe()
    assert raised.value.code == "sftp:host_key"


def test_a_key_it_does_not_know_is_refused(server: OpenSsh) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with server.opened(private_key=other) as transport, pytest.raises(IntegrationError) as raised:
        transport.probe()
    assert raised.value.code == "sftp:auth"
