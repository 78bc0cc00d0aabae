"""A laboratory's end of the wire, byte by byte; without it the tests would send only what our own client sends."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations.doubles.laboratory import msa
from tests.support.stage import Stage, until

VT, FS_CR = b"\x0b", b"\x1c\r"


def oru(
    control: str, *, filler: bytes = b"", lab: str = "LAB", kind: str = "ORU^R01", mode: str = "P", wants: str = ""
) -> bytes:
    """Return a message of laboratory `lab`. wants: MSH-15 and MSH-16, as "AL|NE"."""
    head = f"MSH|^~\\&|LIS|{lab}|CLINIC|HERE|20260302130000||{kind}|{control}|{mode}|2.5.1|||{wants}"
    return f"{head}\rPID|1||M1\rOBR|1||F1|PANEL\rOBX|1|TX|1-8||".encode() + filler + b"|||||F\r"


def framed(*messages: bytes) -> bytes:
    return b"".join(VT + message + FS_CR for message in messages)


class Wire:
    """One connection; `heard` reads acknowledgements as (MSA-1, MSA-2)."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = b""

    def say(self, data: bytes) -> None:
        self.connection.sendall(data)

    def heard(self, count: int, within_s: float = 20.0) -> list[tuple[str, str]]:
        """Return MSA-1 and MSA-2 of the next `count` answers; fewer when no more came."""
        return [msa(answer) for answer in self.answers(count, within_s)]

    def answers(self, count: int, within_s: float = 20.0) -> list[bytes]:
        """Return the next `count` answers; fewer when the peer hung up or said nothing more in time."""
        self.connection.settimeout(within_s)
        found: list[bytes] = []
        while len(found) < count:
            while FS_CR not in self._buffer:
                try:
                    data = self.connection.recv(65_536)
                except OSError:  # a time-out too
                    return found
                if not data:
                    return found
                self._buffer += data
            answer, _, self._buffer = self._buffer.partition(FS_CR)
            assert answer.startswith(VT)
            found.append(answer[1:])
        return found

    def is_closed(self, within_s: float = 10.0) -> bool:
        self.connection.settimeout(within_s)
        try:
            return self.connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


def listening(stage: Stage, name: str, *words: str) -> tuple[int, int, subprocess.Popen[bytes]]:
    """Start a listener that knows its feeds; return its port, its TLS port and its process."""
    ports = stage.reserve_port(), stage.reserve_port()
    flags = ["--port", str(ports[0]), "--tls-port", str(ports[1])]
    process = stage.start(name, "-m", "workers.mllp_listener", *flags, *words)
    until(lambda: b" feeds\n" in stage.log(name))
    return *ports, process


@contextmanager
def wire(port: int, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain as connection:
        yield Wire(connection)


def self_signed(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that is valid for an hour, and its key; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_path.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return cert_path, key_path
