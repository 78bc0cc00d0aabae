"""Holds that a clearinghouse in a process of its own takes orders, and forgets nothing when it is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import asyncssh
import pytest

from integrations.clearinghouse.sftp import SftpClearinghouse
from integrations.clearinghouse.ssh import Account
from integrations.errors import Unknown
from integrations.x12.fake import FakeFolder
from tests.integrations.clearinghouse.submissions import Claim, submission


def started(folder: Path, key: asyncssh.SSHKey) -> tuple[subprocess.Popen[str], Account]:
    (folder / "authorized").write_bytes(key.export_public_key())
    words = ["--root", folder / "house", "--host-key", folder / "host", "--authorized-keys", folder / "authorized"]
    command = [sys.executable, "-m", "integrations.x12.fake", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    return process, Account(
        host="127.0.0.1",
        port=port,
        username="clinic",
        host_key=(folder / "host.pub").read_text(),
        private_key=key.export_private_key().decode(),
        drop_folder="inbound",
        pickup_folder="outbound",
    )


def test_it_takes_orders_answers_when_called_and_remembers_after_a_kill(tmp_path: Path) -> None:
    house, key = FakeFolder(tmp_path / "house"), asyncssh.generate_private_key("ssh-ed25519")
    house.order(next_drops=1, checks=False)
    for verdict in ("taken", "duplicate"):
        process, account = started(tmp_path, key)
        with process, SftpClearinghouse(account) as transport:
            transport.put_part(f"{verdict}.x12", submission(Claim("A1")))
            if verdict == "taken":
                with pytest.raises(Unknown):
                    transport.rename("taken.x12")
                house.call_for("999")
                assert len(_listed(transport)) == 1
            else:
                transport.rename("duplicate.x12")
            process.kill()
        assert house.ledger()[-1].verdict == verdict
    assert len(house.ledger()) == 2


def _listed(transport: SftpClearinghouse) -> list[str]:
    until_s = time.monotonic() + 20
    while not (names := [file.name for file in transport.listing()]) and time.monotonic() < until_s:
        time.sleep(0.02)
    return names
