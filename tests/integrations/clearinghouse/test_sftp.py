"""Holds that SFTP trusts one key, never hangs, and knows what it does not know when a connection breaks."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from integrations.clearinghouse.port import Placed, Staged
from integrations.clearinghouse.sftp import SftpClearinghouse
from integrations.clearinghouse.ssh import Account, Patience
from integrations.errors import IntegrationError, Misconfigured, Transient, Unknown
from integrations.x12.fake import FakeClearinghouse
from tests.integrations.clearinghouse.staged_contract import CONTENT, NAME, StagedContract, Stand, tells_nothing
from tests.integrations.clearinghouse.submissions import Claim, submission
from tests.support.proxy import Proxy

SHORT = Patience(connect_s=2.0, handshake_s=0.3, login_s=0.3, answer_s=0.3, call_s=5.0)
HASTY = Patience(answer_s=1.0)  # long enough for a machine that is busy with other tests
FILE = submission(Claim("A1"), Claim("B1"))


def account(house: FakeClearinghouse, **other: Any) -> Account:
    usual = Account(
        host=house.host,
        port=house.port,
        username=house.username,
        host_key=house.host_key,
        private_key=house.client_key,
        drop_folder="/inbound",
        pickup_folder="/outbound",
    )
    return replace(usual, **other)


def opened(house: FakeClearinghouse, patience: Patience | None = None, **other: Any) -> SftpClearinghouse:
    return SftpClearinghouse(account(house, **other), patience=patience)


def refusal(house: FakeClearinghouse, patience: Patience | None = None, **other: Any) -> IntegrationError:
    with opened(house, patience, **other) as transport, pytest.raises(IntegrationError) as raised:
        transport.probe()
    tells_nothing(raised.value)
    return raised.value


class TestSftp(StagedContract):
    code = "sftp"

    @pytest.fixture
    def stand(self, house: FakeClearinghouse) -> Iterator[Stand]:
        with opened(house) as transport:
            yield Stand(transport, house.inbound(), house.outbound())

    @pytest.fixture
    def lost(self, house: FakeClearinghouse) -> AbstractContextManager[Staged]:
        return opened(house, drop_folder="nowhere", pickup_folder="nowhere/")

    def test_folders_may_stand_where_the_login_leads(self, stand: Stand, house: FakeClearinghouse) -> None:
        with opened(house, drop_folder="inbound/", pickup_folder="outbound") as transport:
            transport.put_part(NAME, CONTENT)
            assert transport.state(NAME) is Placed.PART
            assert transport.listing() == []


def test_one_connection_serves_a_whole_visit(house: FakeClearinghouse) -> None:
    with opened(house) as transport:
        transport.put_part(NAME, FILE)
        transport.rename(NAME)
        transport.listing()
        assert house.visits == 1
        transport.close()
        transport.listing()
        assert house.visits == 2, "and another one after it ended"


# Who is there.


@pytest.mark.parametrize("form", ["key", "fingerprint", "typed fingerprint", "known_hosts", "after another"])
def test_the_pinned_key_may_be_written_in_every_usual_form(house: FakeClearinghouse, form: str) -> None:
    kind, blob = house.host_key.split()[:2]
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode().rstrip("=")
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    text = {
        "key": f"{kind} {blob} a comment",
        "fingerprint": f"SHA256:{digest}",
        "typed fingerprint": f"{kind} SHA256:{digest}",
        "known_hosts": f"[127.0.0.1]:{house.port} {kind} {blob}",
        "after another": f"# the old one\n{other}\n{kind} {blob}\n",
    }[form]
    with opened(house, host_key=text) as transport:
        transport.probe()


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp384"])
def test_a_host_key_of_every_usual_type_may_be_pinned(tmp_path: Path, kind: str) -> None:
    with FakeClearinghouse(tmp_path, key_kind=kind) as house, opened(house) as transport:
        transport.probe()


def test_another_host_key_than_the_pinned_one_is_refused_before_we_say_who_we_are(house: FakeClearinghouse) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    error = refusal(house, host_key=other, password="let-me-in")
    assert (type(error), error.code) == (Misconfigured, "sftp:host_key")


def test_a_server_without_a_key_of_the_pinned_type_is_refused(house: FakeClearinghouse) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    assert refusal(house, host_key=other).code == "sftp:algorithms"


@pytest.mark.parametrize(
    "text", ["", "\n# none\n", "ssh-ed25519", "ssh-ed25519 AAAA!", "SHA256:abc", "ssh-dss AAAAB3NzaC1kc3M"]
)
def test_without_a_pinned_key_nothing_is_trusted(house: FakeClearinghouse, text: str) -> None:
    error = refusal(house, host_key=text)
    assert (type(error), error.code) == (Misconfigured, "sftp:pin")


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("ssh-ed25519", "openssh"),
        ("ecdsa-sha2-nistp256", "openssh"),
        ("ecdsa-sha2-nistp384", "pkcs1-pem"),
        ("ssh-rsa", "pkcs1-pem"),
        ("ssh-ed25519", "pkcs8-pem"),
    ],
)
@pytest.mark.filterwarnings("ignore:Warning. bcrypt")  # one round, for speed
def test_every_usual_key_of_ours_lets_us_in(house: FakeClearinghouse, tmp_path: Path, kind: str, form: str) -> None:
    key = asyncssh.generate_private_key(kind)
    house.know(key.export_public_key().decode())
    file = tmp_path / "key"
    file.write_bytes(key.export_private_key(form, passphrase="open", rounds=1))
    with opened(house, private_key="", key_file=str(file), passphrase="open") as transport:
        transport.probe()
    for wrong in ("wrong", ""):
        assert refusal(house, private_key="", key_file=str(file), passphrase=wrong).code == "sftp:key"
    with opened(house, passphrase="needless") as transport:
        transport.probe()


def test_a_password_lets_us_in_alone_or_after_a_key_that_is_not_enough(house: FakeClearinghouse) -> None:
    with opened(house, private_key="", password="let-me-in") as transport:
        transport.probe()
    for wrong in ({"private_key": "", "password": "wrong"}, {"private_key": ""}, {"username": "stranger"}):
        error = refusal(house, **wrong)
        assert (type(error), error.code) == (Misconfigured, "sftp:auth")


@pytest.mark.parametrize("wrong", [{"private_key": "no key"}, {"private_key": "", "key_file": "/nowhere/key"}])
def test_a_key_of_ours_that_cannot_be_read_needs_a_person(house: FakeClearinghouse, wrong: dict[str, str]) -> None:
    assert refusal(house, **wrong).code == "sftp:key"


def test_a_server_is_reached_over_ipv6_too(tmp_path: Path) -> None:
    if not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    with FakeClearinghouse(tmp_path, host="::1") as house:
        for host in ("::1", "[::1]"):
            with opened(house, host=host) as transport:
                transport.probe()


def test_neither_secrets_nor_names_of_files_are_shown_or_logged(
    house: FakeClearinghouse, caplog: pytest.LogCaptureFixture
) -> None:
    secret = account(house, password="let-me-in", passphrase="open")
    for word in ("let-me-in", "open", "PRIVATE KEY"):
        assert word not in repr(secret)
    with caplog.at_level(logging.DEBUG), SftpClearinghouse(secret) as transport:
        transport.put_part(NAME, FILE)
        transport.rename(NAME)
    assert NAME not in caplog.text


# Servers that say nothing.


@contextmanager
def silent(says: bytes = b"") -> Iterator[int]:
    """A server that accepts, says this, and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    held.append(connection)
                    connection.sendall(says)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    "says", [b"", b"SSH-2.0-Silent\r\n", b"220 ftp.example.org ready\r\n"], ids=["nothing", "hello", "ftp"]
)
def test_a_server_that_says_nothing_is_left_soon(house: FakeClearinghouse, says: bytes) -> None:
    with silent(says) as port:
        begun_s = time.monotonic()
        error = refusal(house, SHORT, port=port)
        assert time.monotonic() - begun_s < 10.0
    assert (type(error), error.code) == (Transient, "sftp:handshake")


def test_a_server_that_is_not_there_is_tried_again(house: FakeClearinghouse) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = refusal(house, port=taken.getsockname()[1])
    assert (type(error), error.code) == (Transient, "sftp:unreached")


def test_a_server_that_stops_in_the_middle_of_a_transfer_is_left_soon(house: FakeClearinghouse) -> None:
    for call in (_uploads, _downloads):
        with Proxy((house.host, house.port)) as proxy, opened(house, HASTY, port=proxy.port) as transport:
            transport.probe()
            (house.outbound() / "answer").write_bytes(CONTENT)
            proxy.hole()
            begun_s = time.monotonic()
            with pytest.raises(Transient) as raised:
                call(transport)
            assert time.monotonic() - begun_s < 10.0
            assert raised.value.code == "sftp:broken"
            tells_nothing(raised.value)


def _uploads(transport: Staged) -> None:
    transport.put_part(NAME, CONTENT)


def _downloads(transport: Staged) -> None:
    transport.fetch("answer", 10**6)


# Connections that break.


def test_an_upload_that_was_cut_is_repeated_and_arrives_once(house: FakeClearinghouse) -> None:
    house.order(next_cuts=[40_000])
    with opened(house) as transport:
        with pytest.raises(Transient) as raised:
            transport.put_part(NAME, FILE + b"\n" * 100_000)
        assert raised.value.code == "sftp:broken"
        assert house.ledger() == []
        transport.put_part(NAME, FILE)
        transport.rename(NAME)
    assert [(entry.name, entry.verdict) for entry in house.ledger()] == [(NAME, "taken")]


@pytest.mark.parametrize("place", [0, 2 * 32_768, len(CONTENT) // 32_768 * 32_768, len(CONTENT) - 1])
def test_a_piece_that_is_refused_in_the_middle_of_an_upload_is_noticed(
    house: FakeClearinghouse, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """The size says nothing: a hole before what was written is filled with zeros."""
    write, refused = asyncssh.SFTPServer.write, []

    def refusing(server: asyncssh.SFTPServer, file: object, offset: int, data: bytes) -> Any:
        if offset == place and not refused:
            refused.append(offset)
            raise asyncssh.SFTPFailure("no room for a moment")
        return write(server, file, offset, data)

    monkeypatch.setattr(asyncssh.SFTPServer, "write", refusing)
    with opened(house) as transport:
        with pytest.raises(Transient) as raised:
            transport.put_part(NAME, CONTENT)
        assert (raised.value.code, refused) == ("sftp:refused", [place])
        transport.put_part(NAME, CONTENT)
    assert (house.inbound() / f".{NAME}.part").read_bytes() == CONTENT


@pytest.mark.parametrize("swallows", [False, True])
def test_a_rename_without_an_answer_is_unknown_and_the_next_look_finds_it_done(
    house: FakeClearinghouse, swallows: bool
) -> None:
    house.order(next_drops=1, swallows=swallows)
    with opened(house) as transport:
        transport.put_part(NAME, FILE)
        with pytest.raises(Unknown) as raised:
            transport.rename(NAME)
        assert raised.value.code == "sftp:lost"
        tells_nothing(raised.value)
        assert transport.state(NAME) is (Placed.NEITHER if swallows else Placed.FINAL)
    [entry] = house.ledger()
    assert (entry.name, entry.isa13, entry.claims) == (NAME, "000000001", ("A1", "B1"))


def test_a_rename_that_is_never_answered_is_unknown_not_refused(house: FakeClearinghouse) -> None:
    house.order(next_silences=1)
    with opened(house, HASTY) as transport:
        transport.put_part(NAME, FILE)
        with pytest.raises(Unknown) as raised:
            transport.rename(NAME)
        assert raised.value.code == "sftp:lost"
        assert transport.state(NAME) is Placed.FINAL
    assert house.visits == 2, "what comes late on the old connection is nobody's answer"


def test_files_on_a_bad_line_arrive_once_each(house: FakeClearinghouse) -> None:
    """As its caller does: a part is seen and noted, then renamed; after that, no part means that it was renamed."""
    dice = random.Random(5)
    house.order(swallows=True)
    for number in range(1, 9):
        house.order(next_cuts=[500] * dice.randint(0, 1), next_drops=dice.randint(0, 1))
        name, staged = f"{number:09}.x12", False
        for _ in range(5):
            with opened(house) as transport, suppress(Transient, Unknown):
                if not staged:
                    transport.put_part(name, submission(Claim(f"C{number}"), number=number))
                    staged = True
                if transport.state(name) is not Placed.PART:
                    break
                transport.rename(name)
    assert [entry.verdict for entry in house.ledger()] == ["taken"] * 8
    assert [entry.claims for entry in house.ledger()] == [(f"C{number}",) for number in range(1, 9)]


def test_a_folder_that_is_a_file_is_refused(house: FakeClearinghouse) -> None:
    (house.outbound() / "file").touch()
    with opened(house, drop_folder="/outbound/file") as transport, pytest.raises(Transient) as raised:
        transport.put_part(NAME, FILE)
    assert raised.value.code in ("sftp:refused", "sftp:missing")
    tells_nothing(raised.value)


def test_a_name_that_is_not_utf_8_needs_a_person(house: FakeClearinghouse) -> None:
    Path(os.fsdecode(bytes(house.outbound()) + b"/\xff\xfe")).touch()
    with opened(house) as transport:
        with pytest.raises(Misconfigured) as raised:
            transport.listing()
        assert raised.value.code == "sftp:names"
        transport.put_part(NAME, FILE)


def test_five_megabytes_come_and_go_without_waiting_for_each_piece(house: FakeClearinghouse) -> None:
    """A twentieth of a second each where nobody else works; many times that if each piece awaited its answer."""
    content = CONTENT * 40
    (house.outbound() / "answer").write_bytes(content)
    with opened(house) as transport:
        assert _fastest(lambda: transport.put_part(NAME, content)) < 2.0
        assert _fastest(lambda: transport.fetch("answer", len(content))) < 2.0


def _fastest(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(2):
        begun_s = time.monotonic()
        call()
        taken.append(time.monotonic() - begun_s)
    return min(taken)


def _has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False
