"""`carerelay send` against a listener that answers, refuses, hangs up or keeps silent."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workers.cli import state
from workers.cli.state import ROOT

ONE = "MSH|^~\\&|LAB|L|CR|C|20240101||ORU^R01|1|P|2.5.1\nPID|1\n"
TWO = ONE + ONE.replace("|1|P|", "|2|P|")
START, END = b"\x0b", b"\x1c\r"


class Listener:
    """One connection at a time; answers each frame with the next of its answers; None means hang up."""

    def __init__(self, answers: list[str | None], context: ssl.SSLContext | None = None) -> None:
        self.received: list[bytes] = []
        self._answers = answers
        self._context = context
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        plain, _ = self._server.accept()
        try:
            connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
        except ssl.SSLError:
            return
        with connection:
            waiting = b""
            for answer in self._answers:
                while END not in waiting:
                    waiting += connection.recv(65536)
                message, _, waiting = waiting.partition(END)
                self.received.append(message.removeprefix(START))
                if answer is None:
                    return
                half = len(answer) // 2
                connection.sendall(START + answer[:half].encode())
                connection.sendall(answer[half:].encode() + END)
            connection.recv(1)

    def close(self) -> None:
        self._server.close()


@contextmanager
def listening(*answers: str | None, context: ssl.SSLContext | None = None) -> Iterator[Listener]:
    listener = Listener(list(answers), context)
    yield listener
    listener.close()


def ack(code: str, control: str = "1", text: str = "") -> str:
    return f"MSH|^~\\&|CR|C|LAB|L|20240101||ACK|9|P|2.5.1\rMSA|{code}|{control}|{text}\r"


def send(folder: Path, port: int, content: str | bytes, *options: str) -> subprocess.CompletedProcess[str]:
    file = folder / "message.hl7"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", "send", "message.hl7", "--port", str(port), *options],
        env={"PATH": os.environ["PATH"], "CARERELAY_CWD": str(folder), "CARERELAY_STATE": str(folder / "state")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_accepted_message_is_printed_with_its_code_and_arrives_with_carriage_returns(tmp_path: Path) -> None:
    with listening(ack("AA", text="stored")) as listener:
        done = send(tmp_path, listener.port, ONE.replace("\n", "\r\n"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "AA 1 stored\n", "")
    assert listener.received == [ONE.replace("\n", "\r").encode()]


def test_every_message_of_a_file_is_sent_and_one_refusal_makes_the_exit_code_one(tmp_path: Path) -> None:
    with listening(ack("AA"), ack("AE", "2", "unknown patient")) as listener:
        done = send(tmp_path, listener.port, START + TWO.encode() + END)
    assert (done.returncode, done.stdout) == (1, "AA 1\nAE 2 unknown patient\n")
    assert len(listener.received) == 2


def test_a_listener_that_hangs_up_is_told_as_unacknowledged(tmp_path: Path) -> None:
    with listening(None) as listener:
        done = send(tmp_path, listener.port, ONE)
    assert done.returncode == 1
    assert done.stderr == "carerelay: The listener closed the connection without an acknowledgement.\n"


def test_silence_ends_after_the_time_the_person_gave(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = send(tmp_path, silent.getsockname()[1], ONE, "--timeout", "0.3")
    assert done.returncode == 1
    assert done.stderr.startswith("carerelay: No acknowledgement in time.")


def test_an_answer_without_an_acknowledgement_segment_is_a_failure(tmp_path: Path) -> None:
    with listening("MSH|^~\\&|CR\r") as listener:
        done = send(tmp_path, listener.port, ONE)
    assert (done.returncode, done.stdout) == (1, "no MSA segment in the answer\n")


def test_nothing_listening_and_nothing_to_send_are_sentences(tmp_path: Path) -> None:
    port = state.free_port()
    nobody, empty = send(tmp_path, port, ONE), send(tmp_path, port, b"\x00\xff")
    assert (nobody.returncode, empty.returncode) == (1, 1)
    assert nobody.stderr == f"carerelay: Nothing listens at 127.0.0.1:{port}: Connection refused.\n"
    assert empty.stderr == "carerelay: message.hl7 holds no HL7 message: no segment starts with MSH.\n"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "listener.pem"
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*private) + signed.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls_checks_the_certificate(tmp_path: Path, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with listening(ack("AA"), context=context) as listener:
        trusted = send(tmp_path, listener.port, ONE, "--tls", "--ca", certificate.name)
    with listening(ack("AA"), context=context) as listener:
        stranger = send(tmp_path, listener.port, ONE, "--tls")
    assert (trusted.returncode, trusted.stdout) == (0, "AA 1\n")
    assert stranger.returncode == 1
    assert "TLS failed" in stranger.stderr
    assert "Traceback" not in stranger.stderr
    assert listener.received == []


def test_a_listener_that_asks_for_our_certificate_is_shown_it(tmp_path: Path, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    words = ("--tls", "--ca", certificate.name)
    with listening(ack("AA"), context=context) as listener:
        known = send(tmp_path, listener.port, ONE, *words, "--cert", certificate.name, "--key", certificate.name)
    with listening(ack("AA"), context=context) as listener:
        stranger = send(tmp_path, listener.port, ONE, *words)
    assert (known.returncode, known.stdout) == (0, "AA 1\n")
    assert stranger.returncode == 1
    assert "Traceback" not in stranger.stderr
    assert listener.received == []
