"""Holds the same contract against the server that most partners run; skipped where it is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager

import asyncssh
import pytest

from integrations.clearinghouse.port import Staged
from integrations.errors import IntegrationError
from tests.integrations.clearinghouse.staged_contract import StagedContract, Stand
from tests.support.openssh import MISSING, OpenSsh, running

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    with running(tmp_path_factory.mktemp("openssh")) as started:
        yield started


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
