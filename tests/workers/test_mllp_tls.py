"""The door of laboratories as production opens it: by TLS alone, to those we gave a certificate to, by its name."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from backend.apps.laboratory.models import InboundMessage, LabFeed
from integrations.certificates import ends_of_file
from tests.support.stage import Stage
from tests.workers.rows import KEEPS
from tests.workers.wire import framed, listening, oru, wire
from workers.cli import certificate_files, certificates, probes
from workers.cli.state import ROOT

pytestmark = [
    pytest.mark.django_db(**KEEPS),
    pytest.mark.usefixtures("emptied"),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning"),
]
NAMED = "lab.example.org"


class Door(NamedTuple):
    port: int
    tls_port: int
    secrets: Path
    stage: Stage


def production(folder: Path) -> dict[str, str]:
    """A safe production on a machine whose own servers are spoken to in plain text, and said to be."""
    key = base64.b64encode
    return {
        "CARERELAY_ENV": "production",
        "CARERELAY_PLAINTEXT_ALLOWED": "postgres,redis",
        "CARERELAY_LOG_FORMAT": "line",
        "CARERELAY_PUBLIC_BASE_URL": "https://relay.example.org",
        "CARERELAY_ALLOWED_HOSTS": "relay.example.org",
        "CARERELAY_SECRET_KEY": secrets.token_urlsafe(48),
        "CARERELAY_JWT_KEY": secrets.token_urlsafe(48),
        "CARERELAY_FIELD_KEYS": "k1:" + key(secrets.token_bytes(32)).decode(),
        "CARERELAY_INDEX_KEYS": "k1:" + key(secrets.token_bytes(32)).decode(),
        "CARERELAY_AUDIT_KEY": key(secrets.token_bytes(32)).decode(),
        "CARERELAY_MLLP_CERTIFICATE": str(folder / "mllp_certificate"),
        "CARERELAY_MLLP_KEY": str(folder / "mllp_key"),
        "CARERELAY_MLLP_CLIENT_CA": str(folder / "tls_authority"),
        "CARERELAY_MLLP_CLIENT_NAMES": f"{NAMED}, other.example.org",
    }


@pytest.fixture(scope="module")
def door(stage: Stage, any_feed: LabFeed) -> Iterator[Door]:
    """A listener with what `carerelay secrets` makes, and certificates of all kinds of callers."""
    folder = stage.folder / "secrets"
    command = [sys.executable, "-m", "workers.cli", "secrets", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for name in (NAMED, "stranger.example.org"):
        subprocess.run([*command, "--laboratory", name], cwd=ROOT, check=True, capture_output=True)
    ours, foreign = certificate_files.authority(folder), certificates.authority("foreign")
    for name, pair in {
        "foreign": certificates.issued(foreign, [NAMED], is_client=True),
        "expired": certificates.issued(ours, [NAMED], is_client=True, days=-1),
        "server": certificates.issued(ours, [NAMED]),
    }.items():
        for kind, text in zip(("certificate", "key"), pair, strict=True):
            (folder / "laboratories" / f"{name}_{kind}").write_text(text)
    stage.extra = production(folder)
    port, tls_port, _ = listening(stage, "tls")
    yield Door(port, tls_port, folder, stage)
    stage.extra = {}
    assert b"Traceback" not in stage.log("tls")


def trust(door: Door, name: str = "") -> ssl.SSLContext:
    """Return how a laboratory verifies us, and shows the certificate of this name."""
    context = ssl.create_default_context(cafile=door.secrets / "tls_authority")
    context.check_hostname = False  # the certificate is for names, this test is at an address
    if name:
        known = door.secrets / "laboratories"
        context.load_cert_chain(known / f"{name}_certificate", known / f"{name}_key")
    return context


def test_a_laboratory_with_a_certificate_of_ours_and_a_name_on_the_list_is_heard(door: Door) -> None:
    with wire(door.tls_port, trust(door, NAMED)) as peer:
        peer.say(framed(oru("named")))
        assert peer.heard(1) == [("AA", "named")]
        assert peer.connection.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize("name", ["", "foreign", "expired", "server", "stranger.example.org"])
def test_nobody_else_is_heard_and_nothing_of_theirs_is_kept(door: Door, name: str) -> None:
    try:
        with wire(door.tls_port, trust(door, name)) as peer:
            peer.say(framed(oru("X")))
            assert peer.heard(1) == []
    except OSError:
        pass  # the handshake may fail first
    assert not InboundMessage.objects.exists()


def test_when_the_certificate_of_a_laboratory_ends_is_noted_at_its_feed(door: Door, any_feed: LabFeed) -> None:
    _, port, listener = listening(door.stage, "noting")
    with wire(port, trust(door, NAMED)) as peer:
        peer.say(framed(oru("shown")))
        assert peer.heard(1) == [("AA", "shown")]
    listener.terminate()  # what the minute has not noted yet is noted then
    assert listener.wait(20) == 0
    ends = ends_of_file(door.secrets / "laboratories" / f"{NAMED}_certificate")
    any_feed.refresh_from_db()
    assert [any_feed.certificate_ends_at] == ends


def test_plain_text_is_not_heard_on_the_port_with_tls_and_there_is_no_other(door: Door) -> None:
    with wire(door.tls_port) as peer:
        peer.say(framed(oru("plain")))
        assert peer.is_closed(within_s=20), "a handshake that is none ends"
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", door.port), 5):
        pass
    assert not InboundMessage.objects.exists()


def test_old_versions_of_tls_are_not_spoken(door: Door) -> None:
    old = trust(door, NAMED)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"."), wire(door.tls_port, old) as peer:
        peer.say(framed(oru("old")))


def test_the_probe_finds_the_door_that_is_open(door: Door) -> None:
    ports = {"CARERELAY_MLLP_PORT": str(door.port), "CARERELAY_MLLP_TLS_PORT": str(door.tls_port)}
    assert probes.mllp_listens({**ports, "CARERELAY_ENV": "production"})
    assert not probes.mllp_listens({**ports, "CARERELAY_ENV": "development"})
    assert b"connection broke" not in door.stage.log("tls"), "a probe is no trouble worth a line"


def test_a_certificate_of_a_laboratory_is_made_once_and_only_for_a_name(door: Door) -> None:
    command = [sys.executable, "-m", "workers.cli", "secrets", str(door.secrets), "--laboratory"]
    for name, told in ((NAMED, "exists"), ("../mllp", "is no name")):
        done = subprocess.run([*command, name], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert told in done.stdout + done.stderr
    assert (door.secrets / "laboratories" / f"{NAMED}_key").stat().st_mode & 0o777 == 0o600
